"""Transfer laws: log y = m log x + c, a line for each group and one gradient common to all (README rules 10 and 12).

A law never fails for want of points: it is refused, with the reason in it, so that a sweep still ends well. The
statistics are in regression.py; this module decides what is fitted and what may be said of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mfsweep.analysis import regression
from mfsweep.analysis.law import POOLED, POOLED_CONVERGED, Law, Line, Refusal, count
from mfsweep.analysis.regression import Sample
from mfsweep.analysis.table import Point, Points

MINIMUM_X = 3
"""Distinct x of a group below which no line is fitted: two points always lie on one. Replicates are not distinct."""
RESAMPLES = 4000


def fit(name: str, points: Points, *, resamples: int = RESAMPLES, seed: int = 0) -> Law:
    """Fit the lines of every group and their common gradient.

    Arguments:
        name: the fit's name in the spec.
        points: from `table.points`.
        resamples: bootstrap draws.
        seed: of the draws; the same points give the same intervals.
    """
    groups = {group: [point for point in points if point.group == group] for group in points.labels}
    reasons = {group: _refuse(members) for group, members in groups.items()}
    refused = tuple(
        Refusal(points.labels[group], _values(points, group), len(groups[group]), reason)
        for group, reason in reasons.items()
        if reason
    )
    kept = {group: members for group, members in groups.items() if not reasons[group]}
    if not kept:
        return Law(name, points, (), None, refused)
    ratio, source = variance_ratio([point for members in kept.values() for point in members])

    def line(label: str, members: dict[Any, list[Point]], values: dict[str, Any]) -> Line:
        return _line(label, list(members.values()), values, ratio, resamples, np.random.default_rng(seed))

    lines = tuple(
        line(points.labels[group], {group: members}, _values(points, group)) for group, members in kept.items()
    )
    common = line(POOLED, kept, {})
    sample = _sample(list(kept.values()))
    test = regression.equal_gradients(sample, resamples, np.random.default_rng(seed)) if len(kept) > 1 else None
    return Law(
        name=name,
        points=points,
        lines=lines,
        pooled=common,
        refused=refused,
        converged=_converged(kept, lambda members: line(POOLED_CONVERGED, members, {}))
        if 0 < common.capped < common.n
        else None,
        equal_gradients=test,
        variance_ratio=ratio,
        ratio_source=source,
        method=(
            f"Intervals: {resamples} resamples, with replacement, of {common.clusters} clusters; a cluster is the "
            "points of one pre-training (one stage key, so one seed and one split seed). Standard error from the "
            "resampled gradients; Student's t with one degree of freedom a cluster, less the intercepts and gradient."
        ),
    )


def variance_ratio(points: Sequence[Point]) -> tuple[float, str]:
    """Return var(error of log y) / var(error of log x) from the spread over replicates, and where it comes from.

    A replicate is a stage that differs in seeds only. Each stage counts once, however many points share it.
    """
    spread = [
        _replicate_variance({point.x_key: (point.x_setting, point.x) for point in points}),
        _replicate_variance({point.y_key: (point.y_setting, point.y) for point in points}),
    ]
    if not spread[0] or not spread[1]:
        return 1.0, "no replicates: equal errors of log x and log y assumed"
    ratio = spread[1] / spread[0]
    return ratio, f"variance ratio {ratio:.2g} from the spread over replicates"


def _replicate_variance(stages: dict[str, tuple[str, float]]) -> float | None:
    by_setting: dict[str, list[float]] = {}
    for setting, value in stages.values():
        by_setting.setdefault(setting, []).append(math.log(value))
    freedom = sum(len(values) - 1 for values in by_setting.values())
    squares = sum(float(np.var(values)) * len(values) for values in by_setting.values())
    return squares / freedom if freedom else None


def _refuse(members: Sequence[Point]) -> str | None:
    distinct = min(len({point.x_setting for point in members}), len({point.x for point in members}))
    if distinct >= MINIMUM_X:
        return None
    have = count(distinct, "distinct x value")
    return f"{have} (replicates not counted), a line needs at least {MINIMUM_X}: add pre-training sizes"


def _converged(kept: dict[Any, list[Point]], line: Callable[[dict[Any, list[Point]]], Line]) -> Line | None:
    """Return the pooled line of converged points alone, from the groups that still carry one."""
    converged = {group: [point for point in members if point.converged] for group, members in kept.items()}
    converged = {group: members for group, members in converged.items() if members and not _refuse(members)}
    return line(converged) if converged else None


def _line(
    label: str,
    groups: list[list[Point]],
    values: dict[str, Any],
    ratio: float,
    resamples: int,
    rng: np.random.Generator,
) -> Line:
    sample = _sample(groups)
    table = regression.sums(sample)
    clusters = table.shape[0]
    whole = regression.pooled(regression.moments(table, np.ones((1, clusters))))
    drawn = regression.pooled(regression.moments(table, regression.multiplicities(clusters, resamples, rng)))
    gradient, gradient_eiv = float(regression.slopes(whole)[0, 0]), float(regression.deming(whole, ratio)[0, 0])
    parameters = 1 + _intercepts(sample)
    error, error_eiv = (
        regression.central_error(regression.slopes(drawn)),
        regression.central_error(regression.deming(drawn, ratio)),
    )
    unexplained = float((whole.yy - whole.xy**2 / whole.xx)[0, 0])
    members = [point for group in groups for point in group]
    return Line(
        group=label,
        values=values,
        gradient=gradient,
        interval=regression.interval(gradient, error, clusters, parameters),
        prefactor=float(np.exp(np.mean(sample.y - gradient * sample.x))),
        r2=1 - unexplained / float(whole.yy[0, 0]) if whole.yy[0, 0] > 0 else float("nan"),
        n=len(members),
        clusters=clusters,
        capped=sum(not point.converged for point in members),
        gradient_eiv=gradient_eiv,
        interval_eiv=regression.interval(gradient_eiv, error_eiv, clusters, parameters),
    )


def _sample(groups: list[list[Point]]) -> Sample:
    members = [point for group in groups for point in group]
    keys = {key: index for index, key in enumerate(sorted({point.x_key for point in members}))}
    return Sample(
        x=np.log([point.x for point in members]),
        y=np.log([point.y for point in members]),
        group=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        cluster=np.array([keys[point.x_key] for point in members]),
    )


def _intercepts(sample: Sample) -> int:
    """Return how many intercepts the clusters determine: one for each set of groups that share pre-trainings.

    Groups of the same pre-trainings (fine-tune sizes) see the same clusters, and their intercepts cost one degree of
    freedom of them together; groups of different ones (label methods) cost one each.
    """
    clusters = int(sample.cluster.max()) + 1
    size = clusters + int(sample.group.max()) + 1
    links = coo_array((np.ones(len(sample.x)), (sample.cluster, clusters + sample.group)), shape=(size, size))
    return int(connected_components(links, directed=False)[0])


def _values(points: Points, group: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(points.group_by, group, strict=True))
