"""What of energies the composition explains, over whole sources of any size and whatever their rank.

The same least squares as the energy offsets of a training (reference.py), but formula by formula: all structures of a
formula have one row of element counts, so that their mean with their number for weight has the same solution. Where the
counts do not determine the offsets, what is left of the energies is determined all the same.

Shapes: `F` formulae, `Z` elements.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import SYMBOLS, Structures


class Composition(NamedTuple):
    """How many atoms of each element the formulae of a source have."""

    elements: tuple[int, ...]
    """(Z,) atomic numbers, ascending."""
    counts: NDArray[np.int64]
    """(F, Z)."""
    structures: NDArray[np.int64]
    """(F,) structures of each formula."""


class OffsetFit(NamedTuple):
    """What a method's energy offsets leave of its energies."""

    offsets: dict[int, float]
    """Atomic number -> eV; of the elements of structures with the label."""
    determined: bool
    """Whether the element counts fix all of them; else these are the smallest that fit."""
    per_atom: NDArray[np.float64]
    """(S,) eV/atom, NaN where there is no label."""


def composition(structures: Structures) -> Composition:
    """Return the composition of a source's formulae."""
    numbers, first, structures_of = np.unique(structures.formula, return_index=True, return_counts=True)
    atoms = structures.atoms_of(first)
    present = np.flatnonzero(np.bincount(structures.species[atoms], minlength=len(SYMBOLS)))
    counts = np.zeros((len(structures.formulae), len(present)), np.int64)
    counts[numbers] = structures.counts(first, present.tolist())
    every = np.zeros(len(structures.formulae), np.int64)
    every[numbers] = structures_of
    return Composition(tuple(present.tolist()), counts, every)


def left(
    structures: Structures, made_of: Composition, energy: NDArray[np.float64], among: NDArray[np.bool_]
) -> OffsetFit:
    """Fit energy offsets and return what they leave.

    Args:
        structures: the source.
        made_of: its composition.
        energy: (S,) eV, finite where `among` says so.
        among: (S,) structures to fit on and to return.
    """
    formula = structures.formula[among]
    number = np.bincount(formula, minlength=len(made_of.counts))
    sums = np.bincount(formula, weights=energy[among], minlength=len(made_of.counts))
    used = np.flatnonzero(number)
    own = np.flatnonzero(made_of.counts[used].any(axis=0))
    weights = np.sqrt(number[used])
    rows = made_of.counts[np.ix_(used, own)] * weights[:, None]
    solution, _, rank, _ = np.linalg.lstsq(rows, sums[used] / weights, rcond=None)
    explained = made_of.counts[:, own] @ solution
    per_atom = np.full(len(structures.formula), np.nan)
    per_atom[among] = (energy[among] - explained[formula]) / structures.sizes[among]
    offsets = {made_of.elements[place]: float(value) for place, value in zip(own, solution, strict=True)}
    return OffsetFit(offsets, int(rank) == len(own), per_atom)
