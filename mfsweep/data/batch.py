"""From structure indices to the arrays that a model eats, by gathers alone.

Shapes: `S` structures, `A` atoms and `E` edges, of a batch in `Batch` and of the whole source in `Edges`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.reference import offset_table, require_offsets
from mfsweep.data.structures import Structures

if TYPE_CHECKING:
    from mfsweep.data.dataset import Dataset

PAIRS_AT_ONCE = 2_000_000
"""Pair distances held in memory at a time: about 100 MB of temporaries."""


class Edges(NamedTuple):
    """The neighbours of every atom of a source. Pairs are kept once: the other direction is the same turned round."""

    offsets: NDArray[np.int64]
    """(S + 1,) edges before each structure, and E; both directions counted."""
    pairs: NDArray[np.integer]
    """(2, E / 2) two atoms of one structure, the earlier first, counted from the structure's first atom, in the
    smallest unsigned type that holds them. Those of structure s lie from offsets[s] / 2 to offsets[s + 1] / 2."""


class Batch(NamedTuple):
    """Some structures of one label method, ready for a model."""

    method: str
    """Label method of energy and forces."""
    species: NDArray[np.uint8]
    """(A,) atomic numbers."""
    positions: NDArray[np.float64]
    """(A, 3) angstrom."""
    structure: NDArray[np.int64]
    """(A,) which structure of the batch an atom belongs to."""
    ptr: NDArray[np.int64]
    """(S + 1,) first atom of each structure, and A."""
    edge_index: NDArray[np.int64]
    """(2, E) sender and receiver, counted from the batch's first atom: each pair once, then all turned round."""
    energy: NDArray[np.float64]
    """(S,) eV, what is left after the energy offsets; NaN where there is no label."""
    forces: NDArray[np.float32] | None
    """(A, 3) eV/angstrom, where asked for."""
    atoms: NDArray[np.int64]
    """(S,) atoms of each structure."""
    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride]: as in Edges
    """(S,) structure indices in the source."""


def assemble(
    dataset: Dataset,
    indices: NDArray[np.integer],
    method: str,
    offsets: Mapping[int, float],
    cutoff: float,
    with_forces: bool,
) -> Batch:
    """Gather structures into a batch.

    Args:
        dataset: where they are.
        indices: (S,) structure indices, at least one.
        method: label method.
        offsets: the method's energy offsets, atomic number -> eV.
        cutoff: neighbours within this distance, angstrom.
        with_forces: whether to gather the method's forces.

    Raises:
        DataError: an element without an energy offset.
        ValueError: forces asked of an energy-only method.
    """
    structures, edges = dataset.structures, dataset.edges(cutoff)
    index = np.asarray(indices, np.int64)
    labels = structures.labels[method]
    first, first_pair = structures.offsets[index], edges.offsets[index] // 2
    atoms = structures.offsets[index + 1] - first
    pair_counts = edges.offsets[index + 1] // 2 - first_pair
    ptr = _starts(atoms)
    atom = _ranges(first, atoms, ptr)
    species = structures.species[atom]
    pairs = edges.pairs[:, _ranges(first_pair, pair_counts, _starts(pair_counts))]
    pairs = pairs + np.repeat(ptr[:-1], pair_counts)
    # reference.offset_energy for these structures, but that needs the sizes of all: here the atoms are at hand.
    offset = np.add.reduceat(offset_table(offsets)[species], ptr[:-1])
    if np.isnan(offset).any():
        require_offsets(structures, index, offsets)
    forces = None
    if with_forces:
        if labels.forces is None:
            raise ValueError(f"forces asked of {method}, which has energies only")
        forces = labels.forces[atom]
    return Batch(
        method=method,
        species=species,
        positions=structures.positions[atom],
        structure=np.repeat(np.arange(len(index)), atoms),
        ptr=ptr,
        edge_index=np.concatenate([pairs, pairs[::-1]], axis=1),
        energy=labels.energy[index] - offset,
        forces=forces,
        atoms=atoms,
        index=index,
    )


def neighbours(structures: Structures, cutoff: float) -> Edges:
    """Return all pairs of atoms of one structure that are closer than `cutoff` angstrom, by brute force.

    In molecules of this size 94-98 % of the pairs are neighbours at 5 angstrom, so a cell list has nothing to save.
    Structures of one size are treated together, as dense (structures, atoms, atoms) distances, some at a time.
    """
    sizes = structures.sizes
    kind = np.min_scalar_type(max(int(sizes.max()) - 1, 0))
    counts = np.zeros(len(sizes), np.int64)
    chunks: list[tuple[NDArray[np.int64], NDArray[np.integer]]] = []
    for size in np.unique(sizes).tolist():
        same = np.flatnonzero(sizes == size)
        step = max(1, PAIRS_AT_ONCE // size**2)
        for start in range(0, len(same), step):
            members = same[start : start + step]
            atoms = structures.offsets[members][:, None] + np.arange(size)
            close = _close(structures.positions[atoms], cutoff)
            counts[members] = close.sum(axis=(1, 2))
            _, senders, receivers = np.nonzero(close)
            chunks.append((members, np.stack([senders.astype(kind), receivers.astype(kind)])))
    starts = _starts(counts)
    pairs = np.empty((2, int(starts[-1])), kind)
    for members, found in chunks:
        own = counts[members]
        pairs[:, _ranges(starts[members], own, _starts(own))] = found
    return Edges(2 * starts, pairs)


def _close(positions: NDArray[np.float64], cutoff: float) -> NDArray[np.bool_]:
    """Return which atoms of (m, n, 3) positions are closer than the cutoff, the earlier atom first, (m, n, n)."""
    squared = np.zeros((*positions.shape[:2], positions.shape[1]))
    for axis in range(3):
        along = positions[:, :, axis]
        squared += (along[:, :, None] - along[:, None, :]) ** 2
    return (squared < cutoff**2) & ~np.tri(positions.shape[1], dtype=np.bool_)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the running sum of counts with a zero in front, (n + 1,)."""
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def _ranges(first: NDArray[np.int64], counts: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return first[0], first[0] + 1, ... (counts[0] of them), first[1], ...; `starts` is `_starts(counts)`."""
    return np.repeat(first - starts[:-1], counts) + np.arange(starts[-1])
