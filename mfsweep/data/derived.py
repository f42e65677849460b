"""Label methods that are made of others: differences (delta-learning) and labels shuffled within each formula.

They stand beside the file's methods in `Structures.labels` and are treated like any other from there on. Only whether
a label exists decides who gets which, never its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.order import order_keys
from mfsweep.data.structures import Labels, Structures
from mfsweep.spec.data import Derived, Difference, Shuffled

Indices = NDArray[np.int64]


def derive(structures: Structures, method: Derived) -> Labels:
    """Return the labels of a derived method.

    Args:
        structures: with the labels of the methods that it is made of.
        method: what it is.

    Returns:
        Energies; forces where all these methods have them. NaN where one is missing.
    """
    return _difference(structures, method) if isinstance(method, Difference) else _shuffled(structures, method)


def made_of(methods: Iterable[str], derived: Mapping[str, Derived]) -> set[str]:
    """Return some of the file's methods and every derived one into which one of them enters."""
    own = set(methods)
    return own | {name for name, method in derived.items() if own.intersection(method.methods)}


def donors(structures: Structures, method: Shuffled) -> tuple[Indices, Indices]:
    """Return who gets labels by a shuffle and whose, twice (n,).

    Those that carry the method change places within their formula: in hash order each gets the labels of the next and
    the last those of the first, so that none keeps its own unless it is the only one of its formula.
    """
    carrying = np.flatnonzero(structures.usable(method.shuffled))
    formula = structures.formula[carrying]
    keys = order_keys(structures, f"{method.seed}:shuffled")[carrying]
    order = np.lexsort((keys, formula))
    carrying, formula = carrying[order], formula[order]
    following = np.arange(1, len(carrying) + 1)
    first = np.searchsorted(formula, formula)
    last = np.append(formula[1:] != formula[:-1], True)[: len(formula)]
    return carrying, carrying[np.where(last, first, following)]


def _difference(structures: Structures, method: Difference) -> Labels:
    target, minus = (structures.labels[name] for name in method.methods)
    forces = None
    if target.forces is not None and minus.forces is not None:
        forces = target.forces - minus.forces
    return Labels(target.energy - minus.energy, forces)


def _shuffled(structures: Structures, method: Shuffled) -> Labels:
    labels = structures.labels[method.shuffled]
    takers, givers = donors(structures, method)
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
