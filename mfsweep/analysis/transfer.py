"""Transfer laws: log y = m log x + c, a line for each group and one gradient common to all (README rules 10 and 12).

A law never fails for want of points: it is refused, with the reason in it, so that a sweep still ends well. The
statistics are in regression.py; this module decides what is fitted and what may be said of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mfsweep.analysis import regression
from mfsweep.analysis.law import POOLED, POOLED_CONVERGED, Band, Law, Line, Refusal
from mfsweep.analysis.regression import Floats, Interval, Sample
from mfsweep.analysis.table import Point, Points
from mfsweep.quantities import MINIMUM_X, count

RESAMPLES = 4000
BAND_POINTS = 25


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


def difference(this: Points, against: Points, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the 95 % interval of one pooled gradient less another, each of points that carry a line.

    Pre-trainings behind both sides are drawn for both at once, since their errors of x are shared; those of one side
    are drawn apart. The degrees of freedom are those of the side that has fewer.
    """
    sides = [[[p for p in side if p.group == group] for group in side.labels] for side in (this, against)]
    samples = [_sample([members for members in groups if not _refuse(members)]) for groups in sides]
    keys = [_cluster_keys([p for members in groups if not _refuse(members) for p in members]) for groups in sides]
    rng = np.random.default_rng(seed)
    strata = [sorted(keys[0] & keys[1]), sorted(keys[0] - keys[1]), sorted(keys[1] - keys[0])]
    drawn = {
        key: column
        for stratum in strata
        if stratum
        for key, column in zip(stratum, regression.multiplicities(len(stratum), resamples, rng).T, strict=True)
    }
    slopes, whole = [], []
    for sample, own in zip(samples, keys, strict=True):
        table = regression.sums(sample)
        weights = np.stack([drawn[key] for key in sorted(own)], axis=1)
        slopes.append(regression.slopes(regression.pooled(regression.moments(table, weights)))[:, 0])
        ones = np.ones((1, len(own)))
        whole.append(float(regression.slopes(regression.pooled(regression.moments(table, ones)))[0, 0]))
    error = regression.central_error(slopes[0] - slopes[1])
    halves = [
        regression.half_width(error, len(own), 1 + _intercepts(sample))
        for sample, own in zip(samples, keys, strict=True)
    ]
    middle = whole[0] - whole[1]
    return Interval(middle - max(halves), middle + max(halves))


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
    weights = regression.multiplicities(clusters, resamples, rng)
    drawn = regression.pooled(regression.moments(table, weights))
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
        band=_band(sample, gradient, regression.levels(table, weights, regression.slopes(drawn)[:, 0], _spots(sample)))
        if len(groups) == 1
        else None,
    )


def _spots(sample: Sample) -> Floats:
    """Return the x (K,) of a band, from the least to the greatest, about the mean."""
    return np.linspace(sample.x.min(), sample.x.max(), BAND_POINTS) - sample.x.mean()


def _band(sample: Sample, gradient: float, drawn: Floats) -> Band:
    """Return the band of one group's line from its resampled values (B, K) at `_spots`."""
    clusters, spots = int(sample.cluster.max()) + 1, _spots(sample)
    half = [regression.half_width(regression.central_error(values), clusters, 2) for values in drawn.T]
    middle = sample.y.mean() + gradient * spots
    x, low, high = spots + sample.x.mean(), middle - half, middle + half
    return Band(*(tuple(np.exp(values).tolist()) for values in (x, low, high)))


def _sample(groups: list[list[Point]]) -> Sample:
    members = [point for group in groups for point in group]
    keys = {key: index for index, key in enumerate(sorted(_cluster_keys(members)))}
    return Sample(
        x=np.log([point.x for point in members]),
        y=np.log([point.y for point in members]),
        group=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        cluster=np.array([keys[point.x_key] for point in members]),
    )


def _cluster_keys(points: Sequence[Point]) -> set[str]:
    """Return the pre-trainings behind some points; in sorted order they are the clusters of their sample."""
    return {point.x_key for point in points}


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
