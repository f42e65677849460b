"""Straight lines through clustered points: pure functions of arrays.

Legend: `N` points, `G` groups, `C` clusters, `B` resamples. A cluster is a set of points that share one pre-training
and so the error of its x; what is resampled, or has its sign changed, is always a whole cluster.

Everything is a function of the sums of 1, x, y, xx, xy, yy over each (cluster, group): a resample is a vector of C
multiplicities, and B of them are one matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CENTRAL_SIGMA = 0.158655
"""Standard normal mass below -1: the quantiles between here and 1 - this span two standard errors."""
WEBB = np.array([-1, -1, -1, 1, 1, 1]) * np.sqrt([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])
"""Six weights (Webb 2014): with few clusters, plain signs have too few distinct draws."""

CHUNK = 250
"""Draws made at a time, so that (draws, C, G) arrays stay small."""


class Sample(NamedTuple):
    """The points of a regression."""

    x: Floats
    """(N,) natural logarithm."""
    y: Floats
    """(N,) natural logarithm."""
    group: Ints
    """(N,) 0 .. G-1, every group present."""
    cluster: Ints
    """(N,) 0 .. C-1, every cluster present."""


class Moments(NamedTuple):
    """Sums of squares about the means, of B weightings."""

    xx: Floats
    """(B, G)"""
    xy: Floats
    yy: Floats


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Return half of the width."""
        return (self.high - self.low) / 2


def sums(sample: Sample) -> Floats:
    """Return (C, G, 6): the sums of 1, x, y, xx, xy, yy, about each group's mean so that no digits are lost."""
    x, y = (values - _group_means(values, sample.group)[sample.group] for values in (sample.x, sample.y))
    table = np.zeros((sample.cluster.max() + 1, sample.group.max() + 1, 6))
    np.add.at(table, (sample.cluster, sample.group), np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return table


def moments(table: Floats, weights: Floats) -> Moments:
    """Return the moments of `weights` (B, C) clusters of `table` (C, G, 6); a group that was not drawn has zeros."""
    clusters, groups, _ = table.shape
    n, x, y, xx, xy, yy = np.moveaxis((weights @ table.reshape(clusters, -1)).reshape(-1, groups, 6), 2, 0)
    n = np.maximum(n, 1.0)
    return Moments(xx - x * x / n, xy - x * y / n, yy - y * y / n)


def pooled(parts: Moments) -> Moments:
    """Return the moments of all groups about their own means, (B, 1): one common slope, own intercepts."""
    return Moments(*(part.sum(axis=1, keepdims=True) for part in parts))


def slopes(parts: Moments) -> Floats:
    """Return ordinary least squares gradients (B, G); NaN where x does not vary."""
    return parts.xy / np.where(parts.xx > 1e-12, parts.xx, np.nan)


def levels(table: Floats, weights: Floats, slope: Floats, x: Floats) -> Floats:
    """Return (B, K): the values at `x` (K,) of lines of gradients `slope` (B,) through each weighting's own mean.

    One group's table (C, 1, 6); x and the values count from the means about which it was made.
    """
    n, sum_x, sum_y = np.moveaxis((weights @ table[:, 0, :3]), 1, 0)  # each (B,)
    n = np.maximum(n, 1.0)
    return ((sum_y - slope * sum_x) / n)[:, None] + slope[:, None] * x


def deming(parts: Moments, ratio: float) -> Floats:
    """Return errors-in-variables gradients (B, G); `ratio` is var(error of y) / var(error of x), 1: orthogonal."""
    difference = parts.yy - ratio * parts.xx
    root = np.sqrt(difference**2 + 4 * ratio * parts.xy**2)
    return (difference + root) / (2 * np.where(np.abs(parts.xy) > 1e-12, parts.xy, np.nan))


def multiplicities(clusters: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return (B, C): how often each cluster is in each of B draws of C clusters with replacement."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), resamples).astype(np.float64)


def central_error(resampled: Floats) -> float:
    """Return the standard error as half the central 68 % of resampled values (B,), NaN left out.

    A few resamples of a regression hold almost no spread of x; their gradients are wild and would ruin a root mean
    square.
    """
    low, high = np.nanquantile(resampled, [CENTRAL_SIGMA, 1 - CENTRAL_SIGMA])
    return float(high - low) / 2


def half_width(error: float, clusters: int, parameters: int) -> float:
    """Return half the width of the interval of `interval`, which says how it comes about."""
    freedom = clusters - parameters
    return error * float(np.sqrt(clusters / freedom) * stats.t.ppf(0.975, freedom))


def interval(estimate: float, error: float, clusters: int, parameters: int) -> Interval:
    """Return the 95 % interval of an estimate from its bootstrap standard error.

    A percentile interval of a few clusters is far too short (three of them: 0.66 in place of 0.95). So the width comes
    from Student's t with `clusters - parameters` degrees of freedom, and sqrt(C / (C - parameters)) undoes the
    shrinkage of the residuals by the fit; for a mean this is Student's own interval.
    """
    half = half_width(error, clusters, parameters)
    return Interval(estimate - half, estimate + half)


class Equality(NamedTuple):
    """A test of equal gradients in all groups."""

    p_value: float
    statistic: float
    groups: int
    clusters: int
    draws: int


def equal_gradients(sample: Sample, draws: int, rng: np.random.Generator) -> Equality:
    """Test that all groups have one gradient: a cluster-robust Wald statistic against its wild cluster bootstrap.

    The residuals of the common-gradient fit are multiplied by one random weight a cluster, so that what the points of a
    pre-training share stays shared, and the null hypothesis holds in every draw (Cameron, Gelbach and Miller 2008).
    """
    x, y = (values - _group_means(values, sample.group)[sample.group] for values in (sample.x, sample.y))
    table = sums(sample._replace(x=x, y=y - x * (x @ y) / (x @ x)))
    clusters, groups, _ = table.shape
    observed = _wald(table, np.ones((1, clusters)))[0]
    drawn = [_wald(table, rng.choice(WEBB, (CHUNK, clusters))) for _ in range(-(-draws // CHUNK))]
    above = int((np.concatenate(drawn)[:draws] >= observed * (1 - 1e-9)).sum())
    return Equality((1 + above) / (1 + draws), float(observed), groups, clusters, draws)


def _wald(table: Floats, weights: Floats) -> Floats:
    """Return the Wald statistic (B,) of equal gradients for residuals multiplied by `weights` (B, C).

    `table` holds the sums of x and the residuals e of the common gradient m. With y = m x + w e, a group's gradient
    is m + tilt and its intercept `level`; the scores are the sums over a cluster of x times what that leaves of y.
    """
    n, x, e, xx, xe, _ = np.moveaxis(table, 2, 0)  # each (C, G)
    spread = xx.sum(axis=0)
    tilt, level = weights @ xe / spread, weights @ e / n.sum(axis=0)  # (B, G)
    score = (weights[:, :, None] * xe - level[:, None] * x - tilt[:, None] * xx) / spread
    groups = len(spread)
    contrast = np.concatenate([-np.ones((groups - 1, 1)), np.eye(groups - 1)], axis=1)
    differences = score @ contrast.T  # (B, C, G - 1)
    inverse = np.linalg.pinv(differences.transpose(0, 2, 1) @ differences, hermitian=True)
    difference = tilt @ contrast.T
    return np.einsum("bi,bij,bj->b", difference, inverse, difference)


def _group_means(values: Floats, group: Ints) -> Floats:
    return np.bincount(group, values) / np.bincount(group)
