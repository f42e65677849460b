"""Claims of one suite together: variances that borrow from each other, and p-values adjusted for their number.

With three replicates each claim knows its own variance badly. Those of a suite are of one kind, so each is drawn
towards what they have in common, by as much as they agree (Smyth 2004, as in limma). Statements about one result count
once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from mfsweep.analysis.gradient import Gradient
from mfsweep.analysis.interval import span
from mfsweep.analysis.reml import Estimate
from mfsweep.analysis.verdicts import Statement, needed, p_value, verdict
from mfsweep.quantities import count
from mfsweep.report_records import ClaimRecord

FEWEST = 5
"""Results below which a suite says nothing of their variances in common."""


RATE = 0.05
"""Share of wrong ones among the told that is put up with, where p is adjusted."""


class Prior(NamedTuple):
    """What the variances of a suite have in common: a scaled inverse chi-squared distribution."""

    variance: float
    freedom: float
    """Infinite where they differ by no more than chance."""
    most: float
    """Degrees of freedom of the whole suite, which no claim can exceed."""


def prior(variances: Sequence[float], freedoms: Sequence[float]) -> Prior:
    """Return the prior of sample variances s2 with their degrees of freedom, by moments of log s2 (Smyth 2004, 6.2)."""
    s2, d = np.asarray(variances), np.asarray(freedoms)
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    excess = float(e.var(ddof=1) - special.polygamma(1, d / 2).mean())
    if excess <= 0:
        return Prior(math.exp(e.mean()), math.inf, float(d.sum()))
    half = _trigamma_inverse(excess)
    return Prior(float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half, float(d.sum()))


def settled(claims: Sequence[ClaimRecord]) -> list[ClaimRecord]:
    """Return the claims, each judged by itself before, as one suite."""
    results = {one.evidence: one for one in claims if _has_variance(one)}
    made = list(claims)
    if len(results) >= FEWEST:
        own = [(one.replicates * float(one.error or 0) ** 2, one.replicates - 1) for one in results.values()]
        shared = prior(*zip(*own, strict=True))
        made = [_moderated(one, shared, len(results)) if _has_variance(one) else one for one in claims]
    questions = {_question(one): one.p for one in made if one.p is not None}
    adjusted: dict[tuple[str, str, float | None], float] = {}
    if questions:
        adjusted = dict(zip(questions, stats.false_discovery_control(list(questions.values())).tolist(), strict=True))
    return [one.model_copy(update={"adjusted_p": adjusted.get(_question(one))}) for one in made]


def told_of(claim: ClaimRecord, found: Estimate | Gradient, replicates: int, borrowed: float = 0.0) -> ClaimRecord:
    """Return a claim with the interval, the verdict and what goes with it of a number that has an error."""
    statement = statement_of(claim)
    low, high = found.interval()
    told = verdict(found, statement) if claim.usable else "cannot tell"
    undecided = claim.usable and told == "cannot tell"
    return claim.model_copy(
        update={
            "low": math.exp(low) if claim.ratio else low,
            "high": math.exp(high) if claim.ratio else high,
            "verdict": told,
            "p": p_value(found, statement) if claim.usable else None,
            "needed": needed(found, statement, replicates, borrowed) if undecided else None,
            **_of_new(claim, found),
        }
    )


def _of_new(claim: ClaimRecord, found: Estimate | Gradient) -> dict[str, float]:
    """Return the ends of the interval for other molecules too, where predictions tell."""
    if claim.beyond is None or claim.formulae < 2:
        return {}
    return ends_of_new(found.value, found.error**2, found.freedom, claim.beyond, claim.formulae)


def ends_of_new(middle: float, variance: float, freedom: float, more: float, formulae: int) -> dict[str, float]:
    """Return the ends of a ratio's interval whose variance is a sum.

    Its degrees of freedom are those over replicates, so that it is never the narrower one; of one replicate, whose
    `variance` is 0, those over formulae.
    """
    found = Estimate(middle, math.sqrt(variance + more), freedom if variance > 0 else formulae - 1.0)
    low, high = found.interval()
    return {"new_low": math.exp(low), "new_high": math.exp(high)}


def statement_of(claim: ClaimRecord) -> Statement:
    """Return what a claim expects, on the scale of its test."""
    stated = claim.stated or 0.0
    if not claim.ratio:
        return Statement(claim.expect, stated)
    if claim.expect == "equal":
        return Statement(claim.expect, math.log1p(stated))
    return Statement(claim.expect, math.log(stated) if stated else 0.0)


def _question(claim: ClaimRecord) -> tuple[str, str, float | None]:
    return claim.evidence, claim.expect, claim.stated


def _has_variance(claim: ClaimRecord) -> bool:
    return claim.ratio and claim.usable and claim.replicates > 1 and bool(claim.error)


def _moderated(claim: ClaimRecord, shared: Prior, suite: int) -> ClaimRecord:
    """Return a claim whose variance is drawn towards that of its suite; its own interval stands beside."""
    own = claim.replicates * float(claim.error or 0) ** 2
    freedom = claim.replicates - 1
    if math.isinf(shared.freedom):
        variance, total = shared.variance, shared.most
    else:
        variance = (shared.freedom * shared.variance + freedom * own) / (shared.freedom + freedom)
        total = min(shared.freedom + freedom, shared.most)
    middle = math.log(claim.estimate or 1.0)
    alone = Estimate(middle, float(claim.error or 0), freedom).interval()
    found = Estimate(middle, math.sqrt(variance / claim.replicates), total)
    made = told_of(claim, found, claim.replicates, total - freedom)
    beside: dict[str, object] = {"plain_low": math.exp(alone.low), "plain_high": math.exp(alone.high), "suite": suite}
    return made.model_copy(update=beside)


def _trigamma_inverse(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def needed_text(claim: ClaimRecord) -> str:
    """Return how many replicates would decide a claim, in words; empty where it is decided or not usable."""
    if claim.verdict != "cannot tell" or claim.p is None:
        return ""
    if claim.needed is None:
        return "more than 1,000 replicates would decide it"
    return f"about {count(max(claim.needed, claim.replicates + 1), 'replicate')} would decide it"


def rests_on(claim: ClaimRecord) -> str:
    """Return what the numbers rest on, and what would decide the rest."""
    return "; ".join(part for part in (claim.detail, _new_text(claim), needed_text(claim)) if part)


def _new_text(claim: ClaimRecord) -> str:
    if claim.new_low is None or claim.new_high is None:
        return ""
    interval = span(claim.new_low, claim.new_high)
    if claim.replicates == 1:
        return f"over {claim.formulae} formulae alone {interval}, training noise not included"
    # Where the formulae add nothing that is seen, the interval stands there already.
    return "" if interval == span(claim.low, claim.high) else f"for molecules of other formulae {interval}"


def p_text(claim: ClaimRecord) -> str:
    """Return the p-value, and the one adjusted for the number of claims."""
    if claim.p is None:
        return ""
    return f"{claim.p:.2g}" if claim.adjusted_p is None else f"{claim.p:.2g} ({claim.adjusted_p:.2g})"


def summary(claims: Sequence[ClaimRecord]) -> str:
    """Return what may be said of all claims together, in one or two sentences."""
    results = {one.evidence for one in claims if one.evidence}
    told = {_question(one): one for one in claims if one.usable and one.verdict != "cannot tell"}
    kept = sum(one.adjusted_p is not None and one.adjusted_p <= RATE for one in told.values())
    said = f"{count(len(claims), 'statement')} about {count(len(results), 'result')}; {len(told)} told"
    if told:
        said += f", {kept} of them also with p adjusted for their number (Benjamini and Hochberg, {RATE:.0%})"
    if suite := max((one.suite for one in claims), default=0):
        said += f". Intervals of ratios rest on the variances of {suite} results together (Smyth); alone: Student's"
    return f"{said}."
