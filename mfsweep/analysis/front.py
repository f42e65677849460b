"""The Pareto front of two objectives, and which alternatives cannot be told from it.

Legend: `P` alternatives, `S` seeds; lower is better in both objectives.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mfsweep.analysis.best import residual_error


@functools.cache
def _range(alternatives: int, freedom: float, level: float) -> float:
    return float(stats.studentized_range.ppf(level, alternatives, freedom))


def front(means: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (P,) which alternatives no other one beats in one objective and equals or beats in the other.

    Arguments:
        means: (2, P).
    """
    one, other = means[:, None, :], means[:, :, None]  # [objective, beaten, beating]
    beaten_by = (one <= other).all(axis=0) & (one < other).any(axis=0)
    return np.asarray(np.count_nonzero(beaten_by, axis=1) == 0)


def not_behind(scores: NDArray[np.float64], level: float = 0.95) -> NDArray[np.bool_]:
    """Return (P,) which alternatives may be on the front, with 95 % confidence for all of them at once.

    One is behind where some other is better in both objectives by more than Tukey's bound on all differences (the
    studentized range), at half the error in each objective: of two claims that both have to be right, a wrong one is at
    most as likely as a wrong one in either.

    Arguments:
        scores: (2, P, S), every seed with every alternative, S > 1. Logarithms where all of an objective are above 0.
        level: confidence.
    """
    _, number, seeds = scores.shape
    if number < 2:
        return np.ones(int(number), dtype=bool)
    behind = np.ones((number, number), dtype=bool)  # [beaten, beating]
    for objective in scores:
        values = np.log(objective) if (objective > 0).all() else objective
        means, (error, freedom) = values.mean(axis=1), residual_error(values)
        bound = _range(number, freedom, (1 + level) / 2) * error / math.sqrt(seeds)
        behind &= means[:, None] - means[None, :] > bound
    return np.asarray(np.count_nonzero(behind, axis=1) == 0)
