"""From structure indices to the arrays that a model eats, by gathers alone.

Shapes: `S` structures, `A` atoms and `E` edges of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.neighbours import Edges, ranges, starts
from mfsweep.data.reference import offset_table, require_offsets
from mfsweep.data.structures import Structures

if TYPE_CHECKING:
    from mfsweep.data.view import DataView


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
    shifts: NDArray[np.float64] | None
    """(E / 2, 3) angstrom, what a pair's second atom is away from where it stands, in its periodic image; None where no
    structure of the source is periodic."""
    energy: NDArray[np.float64]
    """(S,) eV, what is left after the energy offsets; NaN where there is no label."""
    forces: NDArray[np.float32] | None
    """(A, 3) eV/angstrom, where asked for."""
    atoms: NDArray[np.int64]
    """(S,) atoms of each structure."""
    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride]: as in Edges
    """(S,) structure indices in the source."""


def assemble(
    view: DataView,
    indices: NDArray[np.integer],
    method: str,
    offsets: Mapping[int, float],
    cutoff: float,
    with_forces: bool,
) -> Batch:
    """Gather structures into a batch.

    Args:
        view: where they are.
        indices: (S,) structure indices, at least one.
        method: label method.
        offsets: the method's energy offsets, atomic number -> eV.
        cutoff: neighbours within this distance, angstrom.
        with_forces: whether to gather the method's forces.

    Raises:
        DataError: an element without an energy offset.
        ValueError: forces asked of an energy-only method.
    """
    structures, edges = view.structures, view.edges(cutoff)
    index = np.asarray(indices, np.int64)
    labels = structures.labels[method]
    first, first_pair = structures.offsets[index], edges.offsets[index] // 2
    atoms = structures.offsets[index + 1] - first
    pair_counts = edges.offsets[index + 1] // 2 - first_pair
    ptr = starts(atoms)
    atom = ranges(first, atoms, ptr)
    species = structures.species[atom]
    pair = ranges(first_pair, pair_counts, starts(pair_counts))
    edge_index = np.empty((2, 2 * len(pair)), np.int64)
    here = np.repeat(ptr[:-1], pair_counts)
    for row, turned in ((0, 1), (1, 0)):
        np.add(edges.pairs[row].take(pair), here, out=edge_index[row, : len(pair)])
        edge_index[turned, len(pair) :] = edge_index[row, : len(pair)]
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
        positions=np.asarray(structures.positions[atom], np.float64),
        structure=np.repeat(np.arange(len(index)), atoms),
        ptr=ptr,
        edge_index=edge_index,
        shifts=_shifts(structures, edges, index, pair, pair_counts),
        energy=labels.energy[index] - offset,
        forces=forces,
        atoms=atoms,
        index=index,
    )


def _shifts(
    structures: Structures,
    edges: Edges,
    index: NDArray[np.int64],
    pair: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.float64] | None:
    """Return by how much the periodic images of some pairs are shifted, (E / 2, 3) angstrom."""
    if edges.shifts is None:
        return None
    assert structures.cell is not None, "edges of periodic structures"
    cells = np.repeat(structures.cell[index], counts, axis=0)
    return np.einsum("ei,eij->ej", edges.shifts[pair].astype(np.float64), cells)
