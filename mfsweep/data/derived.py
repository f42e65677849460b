"""Label methods that are made of others: differences (delta-learning) and labels shuffled within each formula.

They stand beside the file's methods in `Structures.labels` and are treated like any other from there on. Only whether
a label exists decides who gets which, never its value. No label leaves its part of the partition: what a training
learns is made of nothing that a test is scored against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.order import order_keys
from mfsweep.data.structures import Labels, Structures
from mfsweep.spec.data import Derived, Difference, Shuffled

Indices = NDArray[np.int64]


def derive(structures: Structures, method: Derived, owners: NDArray[np.integer] | None = None) -> Labels:
    """Return the labels of a derived method.

    Args:
        structures: with the labels of the methods that it is made of.
        method: what it is.
        owners: (S,) part of the partition that owns each structure (splits.py); None: a formula has one owner.

    Returns:
        Energies; forces where all these methods have them. NaN where one is missing.
    """
    if isinstance(method, Difference):
        return _difference(structures, method)
    return _shuffled(structures, method, owners)


def made_of(methods: Iterable[str], derived: Mapping[str, Derived]) -> set[str]:
    """Return some of the file's methods and every derived one into which one of them enters."""
    own = set(methods)
    return own | {name for name, method in derived.items() if own.intersection(method.methods)}


def donors(
    structures: Structures, method: Shuffled, owners: NDArray[np.integer] | None = None
) -> tuple[Indices, Indices]:
    """Return who gets labels by a shuffle and whose, twice (n,).

    Those that carry the method change places within their formula and their part of the partition: in hash order each
    gets the labels of the next and the last those of the first, so that none keeps its own unless it is alone there.
    """
    carrying = np.flatnonzero(structures.usable(method.shuffled))
    place = structures.formula[carrying].astype(np.int64)
    if owners is not None:  # split by a column, a formula may be in several parts
        place += len(structures.formulae) * (owners[carrying].astype(np.int64) + 1)
    keys = order_keys(structures, f"{method.seed}:shuffled")[carrying]
    order = np.lexsort((keys, place))
    carrying, place = carrying[order], place[order]
    following = np.arange(1, len(carrying) + 1)
    first = np.searchsorted(place, place)
    last = np.append(place[1:] != place[:-1], True)[: len(place)]
    return carrying, carrying[np.where(last, first, following)]


def _difference(structures: Structures, method: Difference) -> Labels:
    target, minus = (structures.labels[name] for name in method.methods)
    forces = None
    if target.forces is not None and minus.forces is not None:
        forces = target.forces - minus.forces
    return Labels(target.energy - minus.energy, forces)


def _shuffled(structures: Structures, method: Shuffled, owners: NDArray[np.integer] | None) -> Labels:
    labels = structures.labels[method.shuffled]
    takers, givers = donors(structures, method, owners)
    energy = np.full_like(labels.energy, np.nan)
    energy[takers] = labels.energy[givers]
    if labels.forces is None:
        return Labels(energy, None)
    forces = np.full_like(labels.forces, np.nan)
    forces[_by_element(structures, takers)] = labels.forces[_by_element(structures, givers)]
    return Labels(energy, forces)


def _by_element(structures: Structures, indices: Indices) -> Indices:
    """Return the places of all atoms of some structures, structure by structure, in each by atomic number (stable)."""
    atoms = structures.atoms_of(indices)
    row = np.repeat(np.arange(len(indices)), structures.sizes[indices])
    return atoms[np.lexsort((structures.species[atoms], row))]
