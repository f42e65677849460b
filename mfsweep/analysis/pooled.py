"""The gradient that several groups of points share, and one less another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.gradient import Gradient, RegressionSample, freedom, gradient, instrument
from mfsweep.analysis.law import through
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.analysis.table import Point, Points
from mfsweep.quantities import MINIMUM_PRETRAININGS, MINIMUM_X, count


class Both(NamedTuple):
    """A pooled gradient, or one less another, in two ways."""

    by_size: Gradient
    """With errors of x allowed for, where sizes do that; else as by least squares."""
    least_squares: Gradient

    @property
    def weak(self) -> bool:
        """Return whether x follows its size too weakly for the former."""
        return not (math.isfinite(self.by_size.error) and self.by_size.interval().bounded)

    @property
    def shown(self) -> Gradient:
        """Return the one whose numbers are shown."""
        return self.least_squares if self.weak else self.by_size


class Alone(NamedTuple):
    """The pooled gradient of some points."""

    behind: str
    """Points and pre-trainings, in words."""
    over: str
    """Replicates, in words."""
    gradient: Both
    replicates: int


def alone(side: Points) -> Alone | None:
    """Return the gradient that the groups of some points share, or None where none of them carries a line."""
    groups = _groups(_kept(side))
    sample = pooled_sample(side)
    if sample is None:
        return None
    behind = through(len(sample.x), sample.clusters)
    return Alone(behind, replicates_of(groups), both(sample), int(sample.replicate.max()) + 1)


def pooled_sample(side: Points) -> RegressionSample | None:
    """Return the sample of the groups of some points that carry a line, or None where there is no such group."""
    groups = _groups(_kept(side))
    return sample_of(groups) if groups else None


def replicates_of(groups: Sequence[Sequence[Point]]) -> str:
    """Return how many replicates some groups' points have, and of what, in words."""
    found = labels((point.seed, point.split_seed) for members in groups for point in members)
    return text(found.values(), by_partition(found))


def difference(this: Points, against: Points) -> Both:
    """Return one pooled gradient less another, each of points that carry a line.

    Where both sides have the same pre-trainings (two fine-tune sizes), the difference of their log y over each of
    these is regressed: what is wrong with a pre-training leaves it. Else the variances of the two add up, and the
    degrees of freedom are Welch's (1947).
    """
    sides = [_kept(side) for side in (this, against)]
    shared = _in_all_groups(sides[0]) & _in_all_groups(sides[1])
    paired = [[point for point in side if point.x_key in shared] for side in sides]
    if shared and not refuse(paired[0]):
        return both(_paired(*paired))
    ours, others = (both(sample_of(_groups(side))) for side in sides)
    return Both(_welch(ours.by_size, others.by_size), _welch(ours.least_squares, others.least_squares))


def sample_of(groups: list[list[Point]]) -> RegressionSample:
    """Return the sample of some groups' points."""
    members = [point for group in groups for point in group]
    keys = {key: index for index, key in enumerate(sorted(_cluster_keys(members)))}
    replicate = labels((point.seed, point.split_seed) for point in members)
    order = {label: index for index, label in enumerate(dict.fromkeys(replicate.values()))}
    sizes = [point.x_size for point in members]
    return RegressionSample(
        x=np.log([point.x for point in members]),
        y=np.log([point.y for point in members]),
        group=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        cluster=np.array([keys[point.x_key] for point in members]),
        replicate=np.array([order[replicate[point.seed, point.split_seed]] for point in members]),
        size=np.log([size for size in sizes if size]) if all(sizes) else None,
    )


def both(sample: RegressionSample) -> Both:
    """Return the gradient that all points of a sample share."""
    z, plain = instrument(sample), gradient(sample)
    return Both(plain if z is None else gradient(sample, z), plain)


def _paired(this: list[Point], against: list[Point]) -> RegressionSample:
    """Return one point a pre-training: its x, and the mean log y of this side less that of the other."""
    found = sample_of([[*this, *against]])
    ours = np.arange(len(found.x)) < len(this)
    first = np.unique(found.cluster, return_index=True)[1]
    means = [
        np.bincount(found.cluster[side], found.y[side]) / np.bincount(found.cluster[side]) for side in (ours, ~ours)
    ]
    return RegressionSample(
        x=found.x[first],
        y=means[0] - means[1],
        group=np.zeros(len(first), dtype=np.int64),
        cluster=np.arange(len(first)),
        replicate=found.replicate[first],
        size=None if found.size is None else found.size[first],
    )


def _welch(this: Gradient, against: Gradient) -> Gradient:
    variances = np.array([this.error**2, against.error**2])
    value, error = this.value - against.value, math.sqrt(variances.sum())
    own = (variances**2 / np.array([this.freedom, against.freedom])).sum()
    free = float(variances.sum() ** 2 / own) if own > 0 else this.freedom + against.freedom
    bounded = this.interval().bounded and against.interval().bounded
    return Gradient(value, error if bounded else math.inf, free, this.own_slopes or against.own_slopes)


def _in_all_groups(side: list[Point]) -> set[str]:
    """Return the pre-trainings with a point in every group of a side."""
    groups: dict[str, set[Any]] = {}
    for point in side:
        groups.setdefault(point.x_key, set()).add(point.group)
    every = {point.group for point in side}
    return {key for key, own in groups.items() if own == every}


def _kept(side: Points) -> list[Point]:
    groups = [[point for point in side if point.group == group] for group in side.labels]
    return [point for members in groups if not refuse(members) for point in members]


def _groups(members: list[Point]) -> list[list[Point]]:
    found: dict[Any, list[Point]] = {}
    for point in members:
        found.setdefault(point.group, []).append(point)
    return list(found.values())


def refuse(members: Sequence[Point]) -> str | None:
    """Return why some points carry no line, or None."""
    settings = min(len({point.x_setting for point in members}), len({point.x for point in members}))
    if settings < MINIMUM_X:
        have = count(settings, "distinct x value")
        return f"{have} (replicates not counted), a line needs at least {MINIMUM_X}: add pre-training sizes"
    sample = sample_of([list(members)])
    clusters = sample.clusters
    if clusters < MINIMUM_PRETRAININGS or freedom(sample) < 1:
        needed = f"a line needs at least {MINIMUM_PRETRAININGS}"
        if clusters >= MINIMUM_PRETRAININGS:
            needed += ", three of them in one replicate"
        have = count(clusters, "pre-training")
        return f"{have}, {needed}: drawn, not fitted. Add pre-training sizes, partitions or seeds"
    return None


def _cluster_keys(points: Sequence[Point]) -> set[str]:
    """Return the pre-trainings behind some points; in sorted order they are the clusters of their sample."""
    return {point.x_key for point in points}
