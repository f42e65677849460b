"""Transfer laws: log y = m log x + c, a line for each group and one gradient common to all.

docs/fairness.md#rule-12 says how they are fitted, docs/fairness.md#rule-10 what is left out.

A law never fails for want of points: it is refused, with the reason in it, so that a sweep still ends well. The
statistics are in gradient.py; this module decides what is fitted and what may be said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mfsweep.analysis import regression
from mfsweep.analysis.checks import checks
from mfsweep.analysis.gradient import Floats, LineLevel, RegressionSample, centred, instrument, level
from mfsweep.analysis.law import MARGIN, POOLED, POOLED_CONVERGED, Band, FittedLine, Law, Refusal
from mfsweep.analysis.pooled import both, refuse, replicates_of, sample_of
from mfsweep.analysis.table import Point, Points

RESAMPLES = 4000
BAND_POINTS = 101
LARGEST = 300.0
"""Logarithm beyond which a band of too few points is not followed."""


@dataclass(frozen=True, slots=True)
class FitRequest:
    """One entry of a spec's `fits`."""

    name: str
    x: str
    y: str
    group_by: tuple[str, ...] = ()


def fit(name: str, points: Points, *, resamples: int = RESAMPLES, seed: int = 0) -> Law:
    """Fit the lines of every group and their common gradient.

    Arguments:
        name: the fit's name in the spec.
        points: from `table.points`.
        resamples: draws of the test of equal gradients.
        seed: of the draws.
    """
    groups = {group: [point for point in points if point.group == group] for group in points.labels}
    reasons = {group: refuse(members) for group, members in groups.items()}
    refused = tuple(
        Refusal(points.labels[group], _values(points, group), len(groups[group]), reason)
        for group, reason in reasons.items()
        if reason
    )
    kept = {group: members for group, members in groups.items() if not reasons[group]}
    if not kept:
        return Law(name, points, (), None, refused)
    every = [point.x for point in points]
    spots = np.linspace(float(np.log(min(every) / MARGIN)), float(np.log(max(every) * MARGIN)), BAND_POINTS)
    lines = tuple(
        _line(points.labels[group], [members], _values(points, group), spots) for group, members in kept.items()
    )
    common = _line(POOLED, list(kept.values()), {}, spots)
    sample = sample_of(list(kept.values()))
    test, along = _equality(sample, points.group_by, list(kept), resamples, seed)
    checked = checks(sample, by_size=common.by_size)
    if checked and checked.is_curved:
        lines, common = tuple(replace(line, is_curved=True) for line in lines), replace(common, is_curved=True)
    return Law(
        name=name,
        points=points,
        lines=lines,
        pooled=common,
        refused=refused,
        converged=_converged(kept, spots) if 0 < common.capped < common.n else None,
        equal_gradients=test,
        along=along,
        checks=checked,
        method=_method(common),
    )


def _equality(
    sample: RegressionSample, axes: Sequence[str], groups: list[tuple[Any, ...]], resamples: int, seed: int
) -> tuple[regression.Equality | None, dict[str, regression.Equality]]:
    """Return the test of one gradient of all groups, and along each axis where several tell them apart."""
    if len(groups) < 2:
        return None, {}
    within = regression.within_blocks(sample)

    def test(group: np.ndarray) -> regression.Equality:
        one = within._replace(group=group)
        return regression.equal_gradients(one, resamples, np.random.default_rng(seed))

    codes = {
        axis: np.unique([str(group[place]) for group in groups], return_inverse=True)[1]
        for place, axis in enumerate(axes)
    }
    telling = {axis: code for axis, code in codes.items() if code.max()}
    along = {axis: test(code[sample.group]) for axis, code in telling.items()} if len(telling) > 1 else {}
    return test(sample.group), along


def _converged(kept: dict[Any, list[Point]], spots: Floats) -> FittedLine | None:
    """Return the pooled line of converged points alone, from the groups that still carry one."""
    converged = [[point for point in members if point.converged] for members in kept.values()]
    converged = [members for members in converged if members and not refuse(members)]
    return _line(POOLED_CONVERGED, converged, {}, spots) if converged else None


def _line(label: str, groups: list[list[Point]], values: dict[str, Any], spots: Floats) -> FittedLine:
    sample = sample_of(groups)
    z = instrument(sample)
    made = both(sample)
    found, plain = made.shown, made.least_squares
    if made.weak:
        z = None
    members = [point for group in groups for point in group]
    alone = len(groups) == 1
    at = level(sample, found, spots, z) if alone else None
    middle = at.middle[0] - found.value * spots[0] if at else np.mean(sample.y - found.value * sample.x)
    return FittedLine(
        group=label,
        values=values,
        gradient=found.value,
        interval=found.interval(),
        error=found.error,
        freedom=found.freedom,
        least_squares=plain.value,
        interval_least_squares=plain.interval(),
        by_size=z is not None,
        weak=made.weak,
        own_slopes=found.own_slopes,
        prefactor=float(np.exp(middle)),
        r2=_explained(sample),
        n=len(members),
        clusters=sample.clusters,
        replicates=replicates_of(groups),
        capped=sum(not point.converged for point in members),
        band=_band(spots, at, at.half) if at else None,
        prediction=_band(spots, at, at.half_new) if at else None,
    )


def _explained(sample: RegressionSample) -> float:
    """Return the share of the variance of log y within groups that the least squares lines explain; of none 1."""
    x, y = (centred(values, sample.group) for values in (sample.x, sample.y))
    return float((x @ y) ** 2 / (x @ x) / (y @ y)) if y @ y > 0 else 1.0


def _band(x: np.ndarray, at: LineLevel, half: np.ndarray) -> Band:
    return Band(
        *(
            tuple(np.exp(np.clip(values, -LARGEST, LARGEST)).tolist())
            for values in (x, at.middle - half, at.middle + half)
        )
    )


def _method(line: FittedLine) -> str:
    how = (
        "Errors of x are allowed for, with the pre-training size as instrument (Fieller's interval)."
        if line.by_size
        else "Least squares, whose gradient noise of x may flatten."
    )
    over = (
        "their gradients differ, so that the interval is over them"
        if line.own_slopes
        else "their gradients do not differ by more than chance"
    )
    of_replicates = f"Each replicate has its own intercept ({line.replicates}; {over})."
    free = f"Student's t with {line.freedom:.3g} degrees of freedom; points of one pre-training count as one."
    return f"{how} {of_replicates} {free}"


def _values(points: Points, group: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(points.group_by, group, strict=True))
