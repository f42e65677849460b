"""Structures that stand in a source twice, and those that two parts of a partition share.

Two structures are the same where their atoms are the same in the same order, at the same coordinates to 1e-4 angstrom,
in the same cell: a rotated or renumbered copy is another structure here. Coordinates are rounded, so that copies whose
coordinates differ by less, but lie to either side of a rounding boundary, are missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures
from mfsweep.data.survey.blocks import blocks
from mfsweep.quantities import count

RESOLUTION = 1e-4
"""Angstrom."""
CONFLICT = 1e-3
"""eV by which the energies of copies differ at most without a word: what programs and rounding leave."""
_WEYL = np.uint64(0x9E3779B97F4A7C15)

Indices = NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of structures that are the same."""

    first: Indices
    """(p,) the earlier one of the source, the first of all its copies."""
    other: Indices
    """(p,) a later one, ascending."""


class Leak(NamedTuple):
    """Structures of one part of a partition that are the same as some of another."""

    parts: tuple[str, str]
    pairs: Pairs
    """A structure of the first part, and one of the second: each of the second's that leaks once."""


def structure_hashes(structures: Structures) -> NDArray[np.uint64]:
    """Return a hash of each structure's geometry, (S,).

    64 bits: among 5 million structures two distinct ones have the same hash with odds of one in a million.
    """
    hashes = np.empty(len(structures.formula), np.uint64)
    for block in blocks(structures):
        sizes = np.diff(np.append(block.starts, block.atoms.stop - block.atoms.start))
        place = np.arange(block.atoms.stop - block.atoms.start) - np.repeat(block.starts, sizes)
        words = [structures.species[block.atoms], *_rounded(structures.positions[block.atoms]).T]
        atoms = _chained(place, words)
        # Each atom's hash has its place in it, so that a sum tells orders apart.
        own = np.add.reduceat(atoms, block.starts)
        if structures.pbc is not None and structures.cell is not None:
            pbc, cell = structures.pbc[block.structures], structures.cell[block.structures]
            own = _chained(own, [*pbc.T, *_rounded(cell.reshape(-1, 9)).T])
        hashes[block.structures] = _chained(own, [sizes])
    return hashes


def duplicates(hashes: NDArray[np.uint64]) -> Pairs:
    """Return the structures that are the same as an earlier one, each with the first of its copies."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    first = first[inverse]
    other = np.flatnonzero(first != np.arange(len(hashes)))
    return Pairs(first[other], other)


class Conflict(NamedTuple):
    """Labels of a method that differ between structures that are the same."""

    structures: int
    """Copies whose energy is another than that of the first."""
    largest: float
    """Largest difference, eV."""
    pair: tuple[int, int]
    """The structures that differ so."""


def conflicts(structures: Structures, pairs: Pairs, least: float = CONFLICT) -> dict[str, Conflict]:
    """Return label method -> how the energies of copies differ, of methods with any difference above `least` eV."""
    found: dict[str, Conflict] = {}
    for method, labels in structures.labels.items():
        apart = np.abs(np.asarray(labels.energy)[pairs.first] - np.asarray(labels.energy)[pairs.other])
        apart = np.where(np.isfinite(apart), apart, 0.0)
        if (apart > least).any():
            worst = int(apart.argmax())
            pair = int(pairs.first[worst]), int(pairs.other[worst])
            found[method] = Conflict(int((apart > least).sum()), float(apart[worst]), pair)
    return found


def told(structures: Structures, found: Mapping[str, Conflict]) -> list[str]:
    """Return conflicts in words."""
    return [
        f"{method}: {count(own.structures, 'structure')} with the same geometry as an earlier one and another energy, "
        f"by up to {own.largest:.4g} eV ({structures.describe(own.pair[0])} and {structures.describe(own.pair[1])})"
        for method, own in found.items()
    ]


def leaks(hashes: NDArray[np.uint64], parts: Mapping[str, Indices]) -> list[Leak]:
    """Return which parts of a partition share structures; parts that share none are left out.

    Args:
        hashes: (S,) of `structure_hashes`.
        parts: name -> its structures.
    """
    found: list[Leak] = []
    for one, other in itertools.combinations(parts, 2):
        known, first = np.unique(hashes[parts[one]], return_index=True)
        members = np.sort(parts[other])
        place = np.minimum(np.searchsorted(known, hashes[members]), len(known) - 1)
        shared = known[place] == hashes[members] if len(known) else np.zeros(len(members), np.bool_)
        if shared.any():
            found.append(Leak((one, other), Pairs(parts[one][first[place[shared]]], members[shared])))
    return found


def _rounded(values: NDArray[np.floating]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # what is not finite becomes some integer, the same each time
        return np.rint(np.asarray(values, np.float64) / RESOLUTION).astype(np.int64)


def _chained(start: NDArray[np.integer], words: list[NDArray[np.generic]]) -> NDArray[np.uint64]:
    """Return a hash of rows of integers, one word after another, by the finalizer of splitmix64 (data/order.py)."""
    state = np.asarray(start).astype(np.uint64)
    for word in words:
        z = (state + word.astype(np.uint64)) * _WEYL + _WEYL
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = z ^ (z >> np.uint64(31))
    return state
