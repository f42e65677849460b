"""Every design that could be bought: the ways that were measured, from the smallest sizes on to some times the largest.

Legend: `D` designs of one way. Where a way's sizes were never varied apart (fine-tuning always on as many labels as
pre-training, or on one number of them), its designs lie on the line on which its cells do.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.error_model import LINEAR, ErrorModel, Floats
from mfsweep.analysis.measured_cells import Way

ROUND = (*range(10, 40), *range(40, 100, 2))
"""Sizes are of two digits: these times a power of ten."""


class Designs(NamedTuple):
    """Designs of one way, each field (D,)."""

    way: Way
    n_pre: Floats
    n_ft: Floats
    training: Floats
    """Cost of the training; 0 where it is left out."""
    cost: Floats
    """Labels and training together."""
    mean: Floats
    """Predicted log error."""


class TrainingHours(NamedTuple):
    """Hours of training of one way, log-linear in its sizes."""

    effects: Floats
    """(3,) of 1, log n_ft and log n_pre."""

    def hours(self, n_pre: Floats, n_ft: Floats) -> Floats:
        """Return the hours of some sizes, (D,)."""
        return np.exp(_row(n_pre, n_ft) @ self.effects)


def designs(measured: MeasuredWays, model: ErrorModel, prices: Prices, way: Way, reach: float) -> Designs:
    """Return the designs of one way, the measured ones among them.

    Args:
        measured: the cells.
        model: fitted on them.
        prices: of labels and training.
        way: one of the model's.
        reach: times the largest measured size that a design may have. None is smaller than the smallest: what happens
            there, nothing tells.

    Raises:
        FitError: no cost of a label is known.
    """
    cells = measured.cells
    members = cells.members[way]
    pre, ft = cells.n_pre[members], cells.n_ft[members]
    n_pre, n_ft = _sizes(pre, ft, model, way, reach)
    price = prices.of_hour(measured.device)
    training = np.zeros(len(n_ft))
    if price is not None:
        training = price * training_of(measured, way).hours(n_pre, n_ft)
    target, auxiliary = prices.of_labels(measured.target), _auxiliary(measured, prices, way)
    cost = target * n_ft + auxiliary * n_pre + training
    weights, each = model.each(n_pre, n_ft, way.method, way.strategy)
    return Designs(way, n_pre, n_ft, training, cost, weights @ each)


def training_of(measured: MeasuredWays, way: Way) -> TrainingHours:
    """Return the hours of training of a way: least squares of their logarithm on those of the sizes.

    Sizes that were not varied apart share what they explain (the solution of least length).
    """
    members = measured.cells.members[way]
    rows = _row(measured.cells.n_pre[members], measured.cells.n_ft[members])
    hours: Floats = np.log(np.maximum(measured.hours[members], 1e-9))
    centre: Floats = rows[:, 1:].mean(axis=0)
    middle = float(hours.mean())
    slopes = np.linalg.lstsq(rows[:, 1:] - centre, hours - middle)[0].astype(np.float64)
    return TrainingHours(np.concatenate([[middle - centre @ slopes], slopes]))


def _auxiliary(measured: MeasuredWays, prices: Prices, way: Way) -> float:
    return sum(share * prices.of_labels(method) for method, share in measured.shares[way].items())


def _row(n_pre: Floats, n_ft: Floats) -> Floats:
    return np.column_stack([np.ones(len(n_ft)), np.log(n_ft), np.log(np.where(n_pre > 0, n_pre, 1.0))])


def _sizes(pre: Floats, ft: Floats, model: ErrorModel, way: Way, reach: float) -> tuple[Floats, Floats]:
    """Return n_pre and n_ft, each (D,)."""
    kept = [term in model.terms[way] for term in LINEAR]
    if all(kept):
        grid = itertools.product(_around(pre, reach), _around(ft, reach))
        both = np.array([*grid, *zip(pre.tolist(), ft.tolist(), strict=True)])
        return both[:, 0], both[:, 1]
    if not any(kept):
        return pre[:1], ft[:1]
    along, other = (ft, pre) if kept[0] else (pre, ft)
    sizes = np.array(_around(along, reach))
    if not other.any() or len(np.unique(other)) == 1:
        beside = np.full(len(sizes), other[0])
    else:  # they grow together
        slope, start = map(float, np.polyfit(np.log(along), np.log(other), 1))
        beside = np.maximum(np.round(np.exp(start + slope * np.log(sizes))), 1.0)
    return (beside, sizes) if kept[0] else (sizes, beside)


def _around(sizes: Floats, reach: float) -> list[float]:
    """Return the sizes of two digits within reach, and the measured ones."""
    low, high = float(sizes.min()), float(sizes.max()) * reach
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)))
    found = {digits * 10.0**power for power in powers for digits in ROUND}
    return sorted({size for size in found if low <= size <= high and size == int(size)} | set(sizes.tolist()))
