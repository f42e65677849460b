"""What an estimate says of a statement: agree, disagree, or cannot tell.

All on the scale on which no effect is 0: the logarithm of a ratio, a gradient or the difference of two as it is.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from scipy import stats

from mfsweep.analysis.gradient import Gradient
from mfsweep.analysis.reml import Estimate
from mfsweep.spec.figures import Expected

ClaimVerdict = Literal["agree", "disagree", "cannot tell"]

LEVEL = 0.05
POWER = 0.8
MOST = 1000
"""Replicates beyond which none are counted."""


class Statement(NamedTuple):
    """What is expected of a number."""

    expect: Expected
    stated: float = 0.0
    """Bound or value; of `equal` the margin, to both sides of 0."""


def verdict(found: Estimate | Gradient, statement: Statement) -> ClaimVerdict:
    """Return what an estimate with its Student intervals says.

    `equal` agrees where the 90 % interval lies within the margin (two one-sided tests of 5 %: Schuirmann 1987), and
    disagrees where the 95 % one lies beyond it. `value` agrees where the 95 % interval holds it and not 0. The others
    are told by the 95 % interval.
    """
    if not (math.isfinite(found.error) and found.freedom > 0):
        return "cannot tell"
    low, high = found.interval()
    expect, stated = statement
    if expect == "equal":
        inner = found.interval(0.9)
        if -stated <= inner.low and inner.high <= stated:
            return "agree"
        return "disagree" if low > stated or high < -stated else "cannot tell"
    if expect == "value":
        if not low <= stated <= high:
            return "disagree"
        return "cannot tell" if low <= 0 <= high else "agree"
    bound = stated if expect in ("at_most", "at_least") else 0.0
    below, above = high < bound, low > bound
    holds, fails = (below, above) if expect in ("lower", "at_most") else (above, below)
    return "agree" if holds else "disagree" if fails else "cannot tell"


def p_value(found: Estimate | Gradient, statement: Statement) -> float:
    """Return the p-value behind a verdict.

    Of `equal`: that the margin is exceeded (one-sided). Of `at_most` and `at_least`: of the bound. Of `value`: of the
    value where that is refused (at most one of it and no effect is true), else of no effect, as for the others.
    """
    expect, stated = statement
    if expect == "equal":
        half = found.p_value(stated if found.value >= 0 else -stated) / 2
        return half if abs(found.value) <= stated else 1 - half
    if expect == "value" and (refused := found.p_value(stated)) < LEVEL:
        return refused
    return found.p_value(stated if expect in ("at_most", "at_least") else 0.0)


def needed(found: Estimate | Gradient, statement: Statement, replicates: int, borrowed: float = 0.0) -> int | None:
    """Return how many replicates would decide a statement with 80 % power; None: more than 1,000.

    Arguments:
        found: from `replicates` of them.
        statement: the effect is its value, else the number found (less the bound); `equal` is taken to hold exactly.
        replicates: behind `found`.
        borrowed: degrees of freedom that its variance has from elsewhere.
    """
    deviation = found.error * math.sqrt(replicates)
    if statement.expect == "equal":
        return _first(statement.stated, deviation, borrowed, equal=True)
    bound = statement.stated if statement.expect in ("at_most", "at_least") else 0.0
    effect = statement.stated if statement.expect == "value" else found.value - bound
    return _first(abs(effect), deviation, borrowed, equal=False)


def _first(effect: float, deviation: float, borrowed: float, *, equal: bool) -> int | None:
    if deviation == 0:
        return 2
    low, high = 2, MOST
    if _power(high, effect, deviation, borrowed, equal=equal) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        enough = _power(middle, effect, deviation, borrowed, equal=equal) >= POWER
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def _power(replicates: int, effect: float, deviation: float, borrowed: float, *, equal: bool) -> float:
    freedom, away = replicates - 1 + borrowed, effect / (deviation / math.sqrt(replicates))
    if equal:
        return 2 * float(stats.t.cdf(away - stats.t.ppf(0.95, freedom), freedom)) - 1
    return float(stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, away))
