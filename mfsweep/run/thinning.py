"""Which points of a curve go to MLflow: all of a validation's, and of what every step writes a few a decade.

A database row costs some 250 bytes and 0.2 ms, a long stage has 300,000 steps, and on a logarithmic axis no eye sees
them all. So the steps of a metric are shared out into buckets of equal ratio, and the first point in each is kept. That
depends on nothing but the steps in the file: whatever part of it was taken before, the rest gives the same points.
"""

from __future__ import annotations

import math
from typing import Literal

OF_STEPS = ("train.", "pass.")
"""How the metrics begin that steps write, and not validations."""


def keeps(metric: str, step: int, before: int, per_decade: int | Literal["all"]) -> bool:
    """Return whether a point of a metric goes to MLflow.

    Args:
        metric: its name, for example `train.loss`.
        step: of the point.
        before: the highest step of this metric that is there already; -1 for none.
        per_decade: points from one power of ten of steps to the next, `all` for every step. Low steps lie further
            apart than that: of the first 0.4 x `per_decade` every one is kept.
    """
    if per_decade == "all" or not metric.startswith(OF_STEPS):
        return step > before
    return _bucket(step, per_decade) > _bucket(before, per_decade)


def _bucket(step: int, per_decade: int) -> int:
    return math.floor(per_decade * math.log10(step)) if step > 0 else min(step, 0) - 1
