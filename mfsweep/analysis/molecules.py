"""What a ratio of errors is worth for molecules that were not tested, from the predictions of every structure.

Legend: `n` structures of a test set, `G` formulae, `R` replicates. Conformers of a formula err alike, so that formulae
count, not structures. Where partitions of one pool test the same formulae again, their spread does not say how another
pool would come out: the variance over formulae is added to it, less what both have in common (Cameron, Gelbach and
Miller 2011).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.predictions import predictions
from mfsweep.analysis.records import Records
from mfsweep.analysis.selection import MeasuredCell
from mfsweep.quantities import MetricPath, Quantity

Floats = NDArray[np.float64]


class PairedErrors(NamedTuple):
    """The same structures, predicted by both sides."""

    formula: NDArray[np.int64]
    """(n,)"""
    this: Floats
    """(n,) absolute error per atom, above 0 on average."""
    against: Floats
    """(n,)"""

    @property
    def influence(self) -> Floats:
        """Return (n,): what each structure moves the log ratio of the two mean errors by, to first order."""
        return (self.this / self.this.mean() - self.against / self.against.mean()) / len(self.this)


class Beyond(NamedTuple):
    """What the formulae that happen to be tested add."""

    variance: float
    """Variance of the mean log ratio, to be added to that over replicates; all that is known of one replicate."""
    formulae: int


def beyond(tested: Mapping[Hashable, Sequence[PairedErrors]]) -> Beyond | None:
    """Return what the choice of formulae adds to the variance of a mean log ratio; None with fewer than two formulae.

    Arguments:
        tested: replicate -> its pairs, whose log ratios are averaged.
    """
    number = len(tested)
    of_formula: dict[int, float] = {}
    within = 0.0
    for pairs in tested.values():
        own: dict[int, float] = {}
        for pair in pairs:
            names, place = np.unique(pair.formula, return_inverse=True)
            sums = np.bincount(place, pair.influence) / len(pairs) / number
            for name, value in zip(names.tolist(), sums.tolist(), strict=True):
                own[name] = own.get(name, 0.0) + value
        within += _variance(own)
        for name, value in own.items():
            of_formula[name] = of_formula.get(name, 0.0) + value
    if len(of_formula) < 2:
        return None
    whole = _variance(of_formula)
    return Beyond(whole if number == 1 else max(whole - within, 0.0), len(of_formula))


def predicted_by(records: Records, one: MeasuredCell, other: MeasuredCell, path: str) -> PairedErrors | None:
    """Return the structures that two cells of one partition were both tested on; None where they were not.

    Only of a mean absolute energy error per atom, whose structures are known.
    """
    metric = MetricPath.parse(path)
    if metric.quantity is not Quantity.ENERGY_MAE:
        return None
    found = [_errors(records, key, metric) for key in (one.key, other.key)]
    if found[0] is None or found[1] is None or not np.array_equal(found[0][0], found[1][0]):
        return None
    return PairedErrors(found[0][1], found[0][2], found[1][2])


def _errors(
    records: Records, key: str, metric: MetricPath
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats] | None:
    """Return index, formula and absolute error per atom of the structures behind a metric."""
    found = predictions(records, key, metric)
    if found is None:
        return None
    error = np.abs(found.energy_error)
    return (found.structure, found.formula, error) if math.isfinite(error.mean()) and error.mean() > 0 else None


def _variance(sums: Mapping[int, float]) -> float:
    """Return the variance of a sum of independent parts with mean 0, each known once."""
    number = len(sums)
    return number / (number - 1) * math.fsum(value**2 for value in sums.values()) if number > 1 else 0.0
