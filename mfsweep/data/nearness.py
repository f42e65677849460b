"""How far a structure is from those that a model was trained on: a distance between fingerprints, with NumPy alone.

A fingerprint tells which atoms a structure has and how far they lie from one another. For each pair of elements it
counts the neighbours of an atom of the first that are of the second, in smooth shells of distance, as a mean over all
atoms of the structure: a radial distribution of pairs, as in Behler and Parrinello's first symmetry functions (2007).
The share of each element stands beside them, so that formulae are told apart too. It does not change under rotation,
translation or a new order of atoms, and it is no model's own: all trainings are measured by one distance.

The distance of two structures is the Euclidean distance of their fingerprints; that of a structure from a training set
is the least one to any structure of it, 0 for a structure that is in it.

Shapes: `n` structures, `D` entries of a fingerprint, `Z` elements.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures

CENTRES = np.linspace(0.8, 5.0, 10)
"""Middles of the shells, angstrom."""
WIDTH = 0.35
"""Standard deviation of a shell, angstrom."""
MOST = 20_000
"""Structures of a training set that are compared with at most, evenly taken from it."""
MOST_PAIRS = 40_000_000
"""Pairs of atoms in these at most, and in the tested structures: some ten seconds."""
_PAIRS_AT_ONCE = 2_000_000
_DISTANCES_AT_ONCE = 4_000_000

Floats = NDArray[np.float64]
WholeNumbers = NDArray[np.integer]


def distances(structures: Structures, tested: WholeNumbers, trained: WholeNumbers) -> Floats | None:
    """Return how far each structure of `tested` is from the nearest of `trained`, (n,).

    None where either has no structure, or where the tested ones have too many pairs of atoms. Periodic images are left
    out: of a crystal the atoms of the cell as it is written are looked at.
    """
    if not len(tested) or not len(trained) or _pairs(structures, tested) > MOST_PAIRS:
        return None
    share = min(1.0, MOST / len(trained), MOST_PAIRS / _pairs(structures, trained))
    trained = trained[np.linspace(0, len(trained) - 1, max(1, int(share * len(trained)))).astype(np.int64)]
    elements = structures.elements_of(np.union1d(tested, trained))
    known, asked = (fingerprints(structures, own, elements) for own in (trained, tested))
    length = (known**2).sum(axis=1)
    least = np.empty(len(asked))
    step = max(1, _DISTANCES_AT_ONCE // len(known))
    for start in range(0, len(asked), step):
        own = asked[start : start + step]
        squared = (own**2).sum(axis=1)[:, None] + length - 2 * own @ known.T
        nearest = squared.argmin(axis=1)
        # The expanded square loses digits near 0: the nearest one's distance is taken from the difference itself.
        least[start : start + step] = np.linalg.norm(own - known[nearest], axis=1)
    return least


def fingerprints(structures: Structures, indices: WholeNumbers, elements: Sequence[int]) -> Floats:
    """Return the fingerprints of some structures, (n, D) with D = Z + Z * Z * shells.

    Args:
        structures: with their positions, angstrom.
        indices: (n,) those that are meant.
        elements: (Z,) atomic numbers, all that occur.
    """
    kinds, shells = len(elements), len(CENTRES)
    place = np.zeros(256, np.int64)
    place[list(elements)] = np.arange(kinds)
    sizes = structures.sizes[indices]
    found = np.zeros((len(indices), kinds + kinds * kinds * shells))
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        step = max(1, _PAIRS_AT_ONCE // (size * size * shells))
        for start in range(0, len(rows), step):
            own = rows[start : start + step]
            found[own] = _alike(structures, indices[own], size, place, kinds)
    return found


def _pairs(structures: Structures, indices: WholeNumbers) -> int:
    return int((structures.sizes[indices] ** 2).sum())


def _alike(structures: Structures, indices: WholeNumbers, size: int, place: NDArray[np.int64], kinds: int) -> Floats:
    """Return the fingerprints of structures that all have `size` atoms."""
    atoms = structures.atoms_of(indices)
    number = len(indices)
    positions = structures.positions[atoms].astype(np.float64).reshape(number, size, 3)
    kind = place[structures.species[atoms]].reshape(number, size)
    distance = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    counted = ~np.eye(size, dtype=np.bool_)
    apart = distance[:, counted]
    pair = (kind[:, :, None] * kinds + kind[:, None, :])[:, counted]
    place_of_pair = (np.arange(number)[:, None] * kinds**2 + pair).ravel()
    shells = [
        np.bincount(place_of_pair, np.exp(-(((apart - centre) / WIDTH) ** 2) / 2).ravel(), number * kinds**2)
        for centre in CENTRES.tolist()
    ]
    place_of_atom = (np.arange(number)[:, None] * kinds + kind).ravel()
    share = np.bincount(place_of_atom, minlength=number * kinds).reshape(number, kinds)
    return np.hstack([share, np.stack(shells, axis=-1).reshape(number, -1)]) / size
