"""From which number of auxiliary labels on more of them gain nothing: the scales of an error model, as they show.

Each way's scale is one of a grid that reaches from below its sizes to far above them, and to infinity, all equally
likely before anything was measured. What the cells say of it is the likelihood of each (the others' scales as they are
then, effects and variances at their best). Where they say little, a prediction far beyond the trained sizes is an
average over lines that go on and lines that flatten, and its interval is as wide as these lie apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mfsweep.analysis.error_model import Alternative, Effects, ErrorModel, effects, fit, shared
from mfsweep.analysis.measured_cells import MeasuredCells, Way
from mfsweep.analysis.reml import Known, given, root_of

GRID = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, math.inf)
"""Scales, in parts of the largest size of a way."""
TINY = 1e-20
"""Variance of log errors below which cells lie on a model to rounding."""
SIZES = 3
"""Sizes of a way from which on a scale can show; with fewer the grid is averaged as it is."""


def saturating(
    cells: MeasuredCells, form: str = "product", ways: Iterable[Way] | None = None, straight: ErrorModel | None = None
) -> ErrorModel:
    """Fit an error model with the likeliest scale of each way, and the other scales as alternatives.

    Args:
        cells: measured ones.
        form: one of FORMS.
        ways: those whose scale is looked for; default: all with auxiliary labels of several numbers.
        straight: the model of straight lines, where it was fitted before.

    Raises:
        FitError: as of `fit`.
    """
    best = fit(cells, form) if straight is None else straight
    alternatives: dict[Way, tuple[Alternative, ...]] = {}
    for way in cells.members if ways is None else ways:
        sizes = np.unique(cells.n_pre[cells.members[way]])
        if len(sizes) < 2 or (0, 1) not in best.terms[way]:
            continue
        known = _weighed(best, way, float(sizes[-1]), told=len(sizes) >= SIZES)
        if len(sizes) >= SIZES:
            # Variances that a wrong scale has swollen would hide the right one: once more, with those of the likeliest.
            likeliest = max(known, key=lambda one: one.weight).scale
            best = fit(cells, form, {**best.effects.scales, way: likeliest})
            known = _weighed(best, way, float(sizes[-1]), told=True)
        alternatives[way] = known
    return replace(best, alternatives=alternatives)


def _weighed(model: ErrorModel, way: Way, largest: float, *, told: bool) -> tuple[Alternative, ...]:
    """Return the scales of a way with their weights, with the proportions of the model's variances.

    Args:
        model: with the scales of the other ways.
        way: the one that is looked at.
        largest: size of it.
        told: whether the cells tell scales apart; else all weigh the same.
    """
    cells = model.cells
    y, parts = np.log(cells.error), shared(cells)
    root = root_of(parts, model.fitted.theta) if parts and model.fitted.theta.any() else None
    found: list[tuple[float, Effects, Known]] = []
    for part in GRID:
        scale = part * largest
        own = effects(cells, model.form, {**model.effects.scales, way: scale})
        found.append((scale, own, given(y, own.design, root)))
    factors = np.array([max(one.factor, TINY) for _, _, one in found])
    logs = -np.log(factors) * model.fitted.freedom / 2 if told else np.zeros(len(found))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return tuple(
        Alternative(float(weight), scale, own, one.beta)
        for weight, (scale, own, one) in zip(weights, found, strict=True)
    )
