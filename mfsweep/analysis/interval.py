"""An interval, and how it reads."""

from __future__ import annotations

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """An interval, of 95 % unless it is said otherwise."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Return half of the width."""
        return (self.high - self.low) / 2

    @property
    def bounded(self) -> bool:
        """Return whether it has two ends."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        """Return it in words, two decimals."""
        return span(*self) if self.bounded else span(None, None)


def span(low: float | None, high: float | None) -> str:
    """Return an interval in words; one without ends has None."""
    return "without bounds" if low is None or high is None else f"{low:.2f} to {high:.2f}"
