"""Values that lie far from the others, by a measure that the far ones themselves do not widen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
THRESHOLD = 10.0
"""Robust z-score above which a value is called an outlier: real data have tails that are far from normal."""


class Outliers(NamedTuple):
    """The values of a kind that lie far from their median."""

    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride] (tuple.index, never used)
    """(n,) their places, the farthest first."""
    scores: NDArray[np.float64]
    """(n,) robust z-scores."""
    median: float
    spread: float
    """Robust standard deviation, in the values' unit; the scores are multiples of it."""


def outliers(values: NDArray[np.floating], threshold: float = THRESHOLD) -> Outliers:
    """Find outliers by robust z-score: distance from the median over NORMAL times the median absolute deviation.

    Values of which more than half are equal have no spread to measure by, and no outliers.

    Args:
        values: (m,) NaN for what has none.
        threshold: of the absolute score.
    """
    values = np.asarray(values, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    none = np.empty(0, np.int64)
    if not len(known):
        return Outliers(none, np.empty(0), np.nan, np.nan)
    median = float(np.median(values[known]))
    spread = NORMAL * float(np.median(np.abs(values[known] - median)))
    if not spread:
        return Outliers(none, np.empty(0), median, spread)
    scores = (values[known] - median) / spread
    far = np.flatnonzero(np.abs(scores) > threshold)
    far = far[np.argsort(-np.abs(scores[far]), kind="stable")]
    return Outliers(known[far], scores[far], median, spread)
