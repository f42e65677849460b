"""The gradient of straight lines through clustered points, where x too is measured with error.

Legend: `N` points. A *cluster* is a pre-training, whose points share the error of its x. A *replicate* is a partition
(or a seed), whose points share its difficulty. A *block* has an intercept of its own: one group in one replicate.

A gradient m is asked for by whether y - m x still follows an instrument z, within blocks. With the logarithm of the
pre-training size as z it is right whatever the error of x, its interval being Fieller's (1954), exact in a balanced
design; with z = x it is least squares, which noise in x flattens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mfsweep.analysis import reml
from mfsweep.analysis.interval import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOPES_SHOW = 0.25
"""p-value of equal gradients in all replicates below which each has its own (Bancroft's rule for pooling)."""
VARIES = 1e-9
"""Least spread of an instrument within blocks."""


class RegressionSample(NamedTuple):
    """The points of a regression, of natural logarithms."""

    x: Floats
    """(N,)"""
    y: Floats
    """(N,)"""
    group: Ints
    """(N,) 0 .. G-1, every group present."""
    cluster: Ints
    """(N,) 0 .. C-1, every cluster present."""
    replicate: Ints
    """(N,) 0 .. R-1, every replicate present."""
    size: Floats | None = None
    """(N,) logarithm of the pre-training size; None where it is not known."""

    @property
    def block(self) -> Ints:
        """Return (N,): 0 .. B-1, one for each group of each replicate."""
        joined = self.group * (int(self.replicate.max()) + 1) + self.replicate
        return np.unique(joined, return_inverse=True)[1]

    @property
    def clusters(self) -> int:
        """Return how many clusters there are."""
        return int(self.cluster.max()) + 1


class Gradient(NamedTuple):
    """A gradient with its intervals: all m at which y - m x is not told to follow the instrument."""

    value: float
    error: float
    """Standard error."""
    freedom: float
    """Degrees of freedom (Satterthwaite's)."""
    own_slopes: bool = False
    """Whether replicates differ in their gradients by more than chance: the interval is then over replicates."""
    linear: float = 0.0
    square: float = 0.0
    """At m = value + d the variance is error ** 2 + linear * d + square * d ** 2."""

    def interval(self, level: float = 0.95) -> Interval:
        """Return Fieller's interval; without bounds where x does not follow the instrument."""
        quantile = float(stats.t.ppf((1 + level) / 2, self.freedom)) ** 2
        a, b, c = 1 - quantile * self.square, -quantile * self.linear, -quantile * self.error**2
        inside = b * b - 4 * a * c
        if a <= 0 or inside < 0:
            return Interval(-math.inf, math.inf)
        root = math.sqrt(inside)
        return Interval(self.value + (-b - root) / (2 * a), self.value + (-b + root) / (2 * a))

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of a gradient."""
        away = null - self.value
        variance = self.error**2 + self.linear * away + self.square * away**2
        if variance <= 0:
            return 1.0 if away == 0 else 0.0
        return float(2 * stats.t.sf(abs(away) / math.sqrt(variance), self.freedom))


class LawSpread(NamedTuple):
    """What y - m x lies apart by around a line on the instrument. Variances of natural logarithms."""

    residual: float
    """It belongs to one point."""
    cluster: float
    """It belongs to a pre-training, and its points share it."""
    slopes: float
    """It belongs to a replicate: how its slope on the instrument differs."""
    per_z: float
    """Change of x with the instrument."""


class LineLevel(NamedTuple):
    """Where a line lies at some x, with 95 % intervals. All (K,), logarithms."""

    middle: Floats
    half: Floats
    """Half width of the line's band."""
    half_new: Floats
    """Half width for one new pre-training in a new replicate."""


def centred(values: Floats, group: Ints) -> Floats:
    """Return values (N,) less the mean of their group (N,)."""
    return values - (np.bincount(group, values) / np.maximum(np.bincount(group), 1))[group]


def instrument(sample: RegressionSample) -> Floats | None:
    """Return the log sizes where they vary within a block, in at least three steps: else they say nothing of x."""
    if sample.size is None or len(np.unique(sample.size)) < 3:
        return None
    return sample.size if np.abs(centred(sample.size, sample.block)).max() > VARIES else None


def freedom(sample: RegressionSample) -> int:
    """Return the degrees of freedom that clusters leave for one gradient.

    Blocks of the same clusters (fine-tune sizes) cost one together, blocks of different ones (methods) one each.
    """
    return sample.clusters - _intercepts(sample) - 1


def gradient(sample: RegressionSample, z: Floats | None = None) -> Gradient:
    """Return the gradient that all points share, each block with its own intercept.

    Arguments:
        sample: `freedom(sample)` is above 0.
        z: (N,) instrument; None: x itself, least squares.
    """
    z = sample.x if z is None else z
    first = centred(z, sample.block)
    value = float(first @ sample.y) / float(first @ sample.x)
    own = _slopes_show(sample, z, sample.y - value * sample.x)
    design, shapes = _parts(sample, z, own=own)
    frame = reml.MixedDesign(design, shapes)
    model = frame.fit(sample.y - value * sample.x)
    shift, per_x = _both(sample, design, shapes, model, value)
    value += shift / per_x
    at = _slope(frame, sample, value)
    half = at.half_width() / abs(per_x)
    if half == 0:
        return Gradient(value, 0.0, at.freedom, own)
    # The variance is quadratic in m (in a balanced design; else nearly): it is known here and on either side.
    here, below, above = ((_slope(frame, sample, value + side * half).error / per_x) ** 2 for side in (0, -1, 1))
    linear, square = (above - below) / (2 * half), (above + below - 2 * here) / (2 * half**2)
    return Gradient(value, at.error / abs(per_x), at.freedom, own, linear, square)


def spread(sample: RegressionSample, found: Gradient, z: Floats | None = None) -> LawSpread:
    """Return what the points of a gradient lie apart by, as its regression on z has it.

    Arguments:
        sample: as of `gradient`.
        found: its gradient by the same instrument.
        z: (N,) instrument; None: x itself.
    """
    z = sample.x if z is None else z
    design, shapes = _parts(sample, z, own=found.own_slopes)
    model = reml.fit(sample.y - found.value * sample.x, design, shapes)
    first = centred(z, sample.block)
    parts = dict(zip(_names(sample, own=found.own_slopes), model.theta.tolist(), strict=True))
    return LawSpread(
        residual=max(parts["residual"], 0.0),
        cluster=max(parts.get("cluster", 0.0), 0.0),
        slopes=max(parts.get("slopes", 0.0), 0.0),
        per_z=float(first @ sample.x) / float(first @ first),
    )


def level(sample: RegressionSample, found: Gradient, x: Floats, z: Floats | None = None) -> LineLevel:
    """Return where the line of one group lies at x (K,), its intercept random over replicates.

    The errors of intercept and gradient are those of a regression of y - m x on z.
    """
    z = sample.x if z is None else z
    centred = z - z.mean()
    design = np.column_stack([np.ones_like(z), centred])
    several = len(np.unique(sample.replicate)) > 1
    shapes = [reml.groups_of(sample.replicate)] if several and sample.clusters > sample.replicate.max() + 1 else []
    if found.own_slopes:
        shapes.append(reml.groups_of(sample.replicate) * np.outer(centred, centred))
    per_x = float(centred @ sample.x) / float(centred @ centred)
    model = reml.fit(sample.y - found.value * sample.x, design, shapes)
    middle, half, new = list[float](), list[float](), list[float]()
    for place in (x - sample.x.mean()) / per_x:
        # A new observation has the residual's variance, a replicate's, and its gradient's where it has one.
        more = np.array([1.0, *([1.0] if several and shapes else []), *([place**2] if found.own_slopes else [])])
        here = reml.contrast(model, np.array([1.0, place]))
        middle.append(model.beta[0])
        half.append(here.half_width())
        new.append(reml.contrast(model, np.array([1.0, place]), more).half_width())
    return LineLevel(np.array(middle) + found.value * x, np.array(half), np.array(new))


def _parts(sample: RegressionSample, z: Floats, *, own: bool) -> tuple[Floats, list[Floats]]:
    """Return the design (N, B + 1) of the regression on z and the shapes of its random parts, as `_names` names them.

    `own`: whether each replicate has a slope of its own.
    """
    first = centred(z, sample.block)
    design = np.column_stack([np.eye(int(sample.block.max()) + 1)[sample.block], first])
    shapes = {
        "cluster": lambda: reml.groups_of(sample.cluster),
        "slopes": lambda: reml.groups_of(sample.replicate) * np.outer(first, first),
    }
    return design, [shapes[name]() for name in _names(sample, own=own)[1:]]


def _names(sample: RegressionSample, *, own: bool) -> list[str]:
    """Return the variances of the regression: where each cluster has one point, its spread is the residual's."""
    several = ["cluster"] if sample.clusters < len(sample.x) else []
    return ["residual", *several, *(["slopes"] if own else [])]


def _slope(frame: reml.MixedDesign, sample: RegressionSample, value: float) -> reml.Estimate:
    """Return the slope on z of y - value x."""
    return reml.contrast(frame.fit(sample.y - value * sample.x), np.eye(frame.design.shape[1])[-1])


def _both(
    sample: RegressionSample, design: Floats, shapes: list[Floats], model: reml.MixedFit, value: float
) -> tuple[float, float]:
    """Return the slopes on z of y - value x and of x, with the weights of a model."""
    theta = model.theta if model.theta.any() else np.eye(len(model.theta))[0]
    covariance = np.tensordot(theta, np.stack([np.eye(len(sample.x)), *shapes]), 1)
    weighted = np.linalg.solve(covariance, design)
    both = np.column_stack([sample.y - value * sample.x, sample.x])
    slopes = np.linalg.solve(design.T @ weighted, weighted.T @ both)[-1]
    return float(slopes[0]), float(slopes[1])


def _slopes_show(sample: RegressionSample, z: Floats, left: Floats) -> bool:
    """Return whether the slopes on z of `left` differ between replicates: an F test on the means of clusters."""
    replicates = int(sample.replicate.max()) + 1
    clusters = sample.clusters
    rest = clusters - _intercepts(sample) - replicates
    if replicates < 2 or rest < 1:
        return False
    counts = np.bincount(sample.cluster)
    slope, values = (np.bincount(sample.cluster, centred(one, sample.block)) / counts for one in (z, left))
    of = np.zeros(clusters, dtype=np.int64)
    of[sample.cluster] = sample.replicate
    cross, squares = np.bincount(of, slope * values), np.bincount(of, slope * slope)
    own = float((cross**2 / np.maximum(squares, VARIES**2)).sum())
    common = float(cross.sum() ** 2 / squares.sum())
    unexplained = float(values @ values) - own
    if unexplained <= 1e-12 * max(float(values @ values), 1e-12):
        return False
    ratio = (own - common) / (replicates - 1) / (unexplained / rest)
    return bool(stats.f.sf(ratio, replicates - 1, rest) < SLOPES_SHOW)


def _intercepts(sample: RegressionSample) -> int:
    """Return how many intercepts the clusters determine: one for each set of blocks that share clusters."""
    clusters, blocks = sample.clusters, sample.block
    size = clusters + int(blocks.max()) + 1
    links = coo_array((np.ones(len(sample.x)), (sample.cluster, clusters + blocks)), shape=(size, size))
    return int(connected_components(links, directed=False)[0])
