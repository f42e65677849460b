"""Which of several alternatives cannot be told from the best: multiple comparisons with the best (Hsu 1984).

Legend: `P` alternatives, `S` seeds; lower is better.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

NODES = 80
"""Nodes of each of the two integrals behind a critical value: they give four digits."""


@functools.cache
def critical(others: int, freedom: float, level: float = 0.95) -> float:
    """Return Dunnett's one-sided critical value (1955) of `others` alternatives against one, equally often measured."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    # The pooled standard deviation over the true one, at the middles of slices of equal probability.
    slices = (np.arange(8 * NODES) + 0.5) / (8 * NODES)
    ratios = np.sqrt(stats.chi2.ppf(slices, freedom) / freedom)

    def held(value: float) -> float:
        inside = stats.norm.cdf(nodes[None, :] + math.sqrt(2) * value * ratios[:, None]) ** others
        return float((inside @ weights).mean()) - level

    return float(optimize.root_scalar(held, bracket=(0.0, 1e3)).root)


def not_worse(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (P,) which alternatives may be the best, with 95 % confidence for all of them at once.

    Arguments:
        scores: (P, S), every seed with every alternative, S > 1. A seed that is worse for all is no difference: the
            error is what remains beside the means of alternatives and seeds. Logarithms where all are above 0.
    """
    values = np.log(scores) if (scores > 0).all() else scores
    number, seeds = values.shape
    if number < 2:
        return np.ones(len(values), dtype=bool)
    means = values.mean(axis=1)
    error, freedom = residual_error(values)
    order = np.argsort(means)
    rival = np.full(number, means[order[0]])
    rival[order[0]] = means[order[1]]
    return means - rival <= critical(number - 1, freedom) * error * math.sqrt(2 / seeds)


def residual_error(values: NDArray[np.float64]) -> tuple[float, int]:
    """Return the standard deviation of (P, S) values beside the means of alternatives and seeds, and its freedom."""
    number, seeds = values.shape
    left = values - values.mean(axis=1)[:, None] - values.mean(axis=0) + values.mean()
    freedom = (number - 1) * (seeds - 1)
    return math.sqrt(float((left**2).sum()) / freedom), freedom
