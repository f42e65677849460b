"""Whether groups of points have one gradient: a wild cluster bootstrap, of pure functions of arrays.

Legend: `N` points, `G` groups, `C` clusters, `B` draws. A cluster is a set of points that share one pre-training and so
the error of its x; what is multiplied by a random weight is always a whole cluster.

Everything is a function of the sums of 1, x, y, xx, xy, yy over each (cluster, group): B draws are one matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mfsweep.analysis.gradient import Floats, RegressionSample, centred

WEBB = np.array([-1, -1, -1, 1, 1, 1]) * np.sqrt([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])
"""Six weights (Webb 2014): with few clusters, plain signs have too few distinct draws."""

CHUNK = 250
"""Draws made at a time, so that (draws, C, G) arrays stay small."""


def within_blocks(sample: RegressionSample) -> RegressionSample:
    """Return the points about the means of their blocks: what a replicate's points share is then gone."""
    return sample._replace(x=centred(sample.x, sample.block), y=centred(sample.y, sample.block))


def sums(sample: RegressionSample) -> Floats:
    """Return (C, G, 6): the sums of 1, x, y, xx, xy, yy, about each group's mean so that no digits are lost."""
    x, y = (centred(values, sample.group) for values in (sample.x, sample.y))
    table = np.zeros((sample.cluster.max() + 1, sample.group.max() + 1, 6))
    np.add.at(table, (sample.cluster, sample.group), np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return table


class Equality(NamedTuple):
    """A test of equal gradients in all groups."""

    p_value: float
    statistic: float
    groups: int
    clusters: int
    draws: int


def equal_gradients(sample: RegressionSample, draws: int, rng: np.random.Generator) -> Equality:
    """Test that all groups have one gradient: a cluster-robust Wald statistic against its wild cluster bootstrap.

    The residuals of the common-gradient fit are multiplied by one random weight a cluster, so that what the points of a
    pre-training share stays shared, and the null hypothesis holds in every draw (Cameron, Gelbach and Miller 2008).
    """
    x, y = (centred(values, sample.group) for values in (sample.x, sample.y))
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
    differences: Floats = score @ contrast.T  # (B, C, G - 1)
    inverse = np.linalg.pinv(differences.transpose(0, 2, 1) @ differences, hermitian=True)
    difference = tilt @ contrast.T
    return np.einsum("bi,bij,bj->b", difference, inverse, difference)
