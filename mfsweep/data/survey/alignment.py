"""How near label methods are to a target once each one's energy offsets are off: over all structures and by formula.

What offsets explain says nothing of a method: two methods that differ by a number for each element are as good as one.
All over flat arrays, so that half a million structures take a second. Shapes: `S` structures, `n` with both labels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures
from mfsweep.data.survey.composition import Composition, left

MEV = 1000.0
WORST = 3
"""Formulae that are named."""

Floats = NDArray[np.float64]


class WorstFormula(NamedTuple):
    """A formula on which two methods differ more than on others."""

    formula: str
    structures: int
    mean_abs: float
    """meV/atom."""


class Alignment(NamedTuple):
    """A method beside the target, on the structures that have both labels; energies in meV/atom."""

    method: str
    structures: int
    formulae: int
    mean_abs: float
    """Mean absolute difference: what delta-learning has to learn."""
    spread: float
    """Standard deviation of the difference."""
    target_mean_abs: float
    """Mean absolute energy of the target: what direct training has to learn."""
    pearson: float
    """Correlation of the two methods; NaN where one does not vary."""
    within: float
    """Standard deviation of the difference between conformers of a formula; NaN where no formula has two."""
    between: float
    """Standard deviation of its mean over formulae."""
    pearson_within: float
    """Correlation between conformers of a formula."""
    worst: tuple[WorstFormula, ...]
    """Formulae with the largest mean absolute difference."""

    @property
    def left(self) -> float:
        """Return the share of the target's mean absolute energy that the method leaves; NaN where that is 0."""
        return self.mean_abs / self.target_mean_abs if self.target_mean_abs > 0 else math.nan


def alignment(structures: Structures, made_of: Composition, target: str, method: str) -> Alignment | None:
    """Return how near a method is to the target; None with fewer than two structures that have both labels.

    Args:
        structures: with both methods' labels.
        made_of: its composition.
        target: label method.
        method: another one.
    """
    energies = [structures.labels[name].energy for name in (target, method)]
    both = np.isfinite(energies[0]) & np.isfinite(energies[1])
    if np.count_nonzero(both) < 2:
        return None
    # Offsets of the common structures alone: no difference is left that offsets could explain.
    ours, theirs = (MEV * left(structures, made_of, energy, both).per_atom[both] for energy in energies)
    difference = ours - theirs
    codes, formula, numbers = np.unique(structures.formula[both], return_inverse=True, return_counts=True)
    several = numbers[formula] > 1
    inner = [_centred(values, formula, numbers)[several] for values in (difference, ours, theirs)]
    means = np.bincount(formula, difference) / numbers
    mean_abs = np.bincount(formula, np.abs(difference)) / numbers
    named = np.argsort(-mean_abs, kind="stable")[:WORST].tolist()
    return Alignment(
        method=method,
        structures=len(difference),
        formulae=len(codes),
        mean_abs=float(np.abs(difference).mean()),
        spread=float(difference.std()),
        target_mean_abs=float(np.abs(ours).mean()),
        pearson=_pearson(ours - ours.mean(), theirs - theirs.mean()),
        within=float(np.sqrt(np.square(inner[0]).mean())) if several.any() else math.nan,
        between=float(np.sqrt(np.average(np.square(means - difference.mean()), weights=numbers))),
        pearson_within=_pearson(inner[1], inner[2]),
        worst=tuple(
            WorstFormula(structures.formulae[codes[place]], int(numbers[place]), float(mean_abs[place]))
            for place in named
        ),
    )


def _centred(values: Floats, formula: NDArray[np.int64], numbers: NDArray[np.int64]) -> Floats:
    """Return (n,) values less the mean of their formula."""
    return values - (np.bincount(formula, values) / numbers)[formula]


def _pearson(one: Floats, other: Floats) -> float:
    lengths = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / lengths if lengths > 0 else math.nan
