"""Statements of a spec, held against the records: agree, disagree, or cannot tell.

Of a metric, the cells of both sides are paired where all other axes agree; within a replicate, one (seed, split seed),
the log ratios of its pairs are averaged, and the interval is Student's over the replicates. Only the pairs that every
replicate has count (balance.py). Of a law, gradients are compared with intervals over pre-trainings (transfer.py).

What has not converged carries no claim (README rule 10): it is left out, and counted as capped. Where too little is
left without it, the numbers are those of all cells, and the verdict is that one cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from mfsweep.analysis.balance import Replicate, balanced
from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.regression import Interval
from mfsweep.analysis.selection import Measured, Setting, Values, matches, measure, select, setting_of, values_of
from mfsweep.analysis.table import Points, points
from mfsweep.analysis.transfer import RESAMPLES, FitRequest, difference, fit
from mfsweep.errors import FitError
from mfsweep.quantities import count
from mfsweep.records import CellRecord, ClaimRecord
from mfsweep.spec.figures import Cells, Claim

Verdict = Literal["agree", "disagree", "cannot tell"]
Expected = Literal["lower", "higher", "equal"]


class Found(NamedTuple):
    """A number with its interval."""

    estimate: float
    interval: Interval | None
    """95 %; None with one replicate."""
    rests_on: str
    """How many cells or points are behind it."""


def judge(
    records: Records,
    cells: Sequence[CellRecord],
    name: str,
    claim: Claim,
    fits: Sequence[FitRequest] = (),
    *,
    resamples: int = RESAMPLES,
) -> ClaimRecord:
    """Return what came out for one claim; one that cannot be measured yet says why.

    Arguments:
        records: the trained stages.
        cells: the grid.
        name: the claim's name in the spec.
        claim: the statement.
        fits: the spec's, of which `claim.gradient` names one.
        resamples: bootstrap draws of a gradient's interval.
    """
    meant = select(cells, claim.where)
    measured = f"ratio of {claim.y}" if claim.y else f"{'difference of gradients' if claim.against else 'gradient'}"
    nothing = ClaimRecord(
        name=name,
        says=claim.says,
        measure=measured if claim.y else f"{measured} of law {claim.gradient}",
        estimate=None,
        low=None,
        high=None,
        verdict="cannot tell",
        detail="",
        recommends=claim.recommends,
    )
    try:
        if claim.y is not None:
            return _of_metric(nothing, claim, measure(records, meant, claim.y))
        request = next(one for one in fits if one.name == claim.gradient)
        found = points(records, meant, request.x, request.y, request.group_by)
        return _of_gradient(nothing, claim, found, resamples)
    except FitError as error:
        return nothing.model_copy(update={"detail": str(error)})


def ratio(members: Sequence[Measured], this: Cells, against: Cells) -> Found | None:
    """Return exp(mean over replicates of the mean log ratio) of two selections of cells; None without a pair.

    Where replicates have different pairs, those are left out that some replicate lacks, or the replicate is.
    """
    found = _pairs(members, this, against)
    if not found:
        return None
    kept = balanced({replicate: own.keys() for replicate, own in found.items()})
    places: dict[Values, list[_Pair]] = {}
    for pair in found[kept.replicates[0]]:
        if pair in kept.settings:
            places.setdefault(pair.place, []).append(pair)
    means = np.array(
        [
            np.mean([_log_ratio([found[replicate][pair] for pair in own]) for own in places.values()])
            for replicate in kept.replicates
        ]
    )
    rests_on = f"{count(len(means) * len(places), 'pair')} over {count(len(means), 'replicate')}"
    used = _cells(dict.fromkeys(kept.replicates, kept.settings))
    if dropped := len(_cells(found) - used):
        rests_on += f", {count(dropped, 'cell')} left out that not every replicate has"
    return Found(math.exp(means.mean()), _interval(means), rests_on)


def verdict(interval: Interval | None, expect: Expected, neutral: float, margin: float) -> Verdict:
    """Return what an interval says of an expectation.

    Arguments:
        interval: of the ratio or difference; None: nothing can be told.
        expect: where it lies beside `neutral`.
        neutral: 1 of a ratio, 0 of a difference.
        margin: of `equal`.
    """
    if interval is None or not all(map(math.isfinite, interval)):
        return "cannot tell"
    low, high = interval
    if expect == "equal":
        if neutral - margin <= low and high <= neutral + margin:
            return "agree"
        return "disagree" if high < neutral - margin or low > neutral + margin else "cannot tell"
    below, above = high < neutral, low > neutral
    holds, fails = (below, above) if expect == "lower" else (above, below)
    return "agree" if holds else "disagree" if fails else "cannot tell"


def _of_metric(nothing: ClaimRecord, claim: Claim, members: Sequence[Measured]) -> ClaimRecord:
    against = claim.against or {}
    sides = [one for one in members if any(matches(one.cell.values, side) for side in (claim.this, against))]
    kept = [one for one in sides if one.converged]
    clean, every = ratio(kept, claim.this, against), ratio(sides, claim.this, against)
    if every is None:
        return nothing.model_copy(update={"detail": "no pair of cells is measured yet"})
    return _finished(nothing, claim, 1.0, clean, every, _Capped(len(sides) - len(kept), len(sides), "cell"))


def _of_gradient(nothing: ClaimRecord, claim: Claim, found: Points, resamples: int) -> ClaimRecord:
    kept = replace(found, points=tuple(point for point in found if point.converged))
    clean, every = (_gradient(claim, some, resamples) for some in (kept, found))
    if every is None:
        return nothing.model_copy(update={"detail": "too few points for a line"})
    return _finished(nothing, claim, 0.0, clean, every, _Capped(len(found) - len(kept), len(found), "point"))


def _gradient(claim: Claim, found: Points, resamples: int) -> Found | None:
    """Return the gradient of one side, or its difference to the other's; None where there is no line."""
    this = _side(found, claim.this)
    line = fit("this", this, resamples=resamples).pooled
    if line is None:
        return None
    rests_on = f"{count(line.n, 'point')} of {count(line.clusters, 'pre-training')}"
    if claim.against is None:
        return Found(line.gradient, line.interval, rests_on)
    against = _side(found, claim.against)
    other = fit("against", against, resamples=resamples).pooled
    if other is None:
        return None
    beside = f"{other.gradient:.2f} ({count(other.n, 'point')} of {count(other.clusters, 'pre-training')})"
    interval = difference(this, against, resamples=resamples)
    return Found(line.gradient - other.gradient, interval, f"{line.gradient:.2f} ({rests_on}) less {beside}")


def _side(found: Points, side: Cells) -> Points:
    """Return the points of the groups that a side of a claim names."""
    own = tuple(point for point in found if matches(dict(zip(found.group_by, point.group, strict=True)), side))
    labels = {point.group: found.labels[point.group] for point in own}
    return replace(found, points=own, labels=labels)


class _Capped(NamedTuple):
    number: int
    total: int
    noun: str

    def __str__(self) -> str:
        return f"{self.number} of {count(self.total, self.noun)} capped"


def _finished(
    nothing: ClaimRecord, claim: Claim, neutral: float, clean: Found | None, every: Found, capped: _Capped
) -> ClaimRecord:
    """Return the record of a claim from the numbers without and with what is capped."""
    usable = clean if clean and clean.interval else None
    shown = usable or every
    said = [shown.rests_on]
    if capped.number:
        said.append(f"{capped}, left out" if usable else f"{capped}, no claim")
    elif shown.interval is None:
        said.append("an interval needs two")
    low, high = shown.interval or (None, None)
    told = verdict(usable.interval if usable else None, claim.expect, neutral, claim.margin)
    return nothing.model_copy(
        update={"estimate": shown.estimate, "low": low, "high": high, "verdict": told, "detail": "; ".join(said)}
    )


class _Pair(NamedTuple):
    """What two cells of one replicate are, but for the replicate."""

    place: Values
    """The values of the axes that neither side names: a side may have several cells there."""
    this: Setting
    against: Setting


def _pairs(
    members: Sequence[Measured], this: Cells, against: Cells
) -> dict[Replicate, dict[_Pair, tuple[Measured, Measured]]]:
    """Return replicate -> its pairs.

    An axis that the cells of one side lack (their block of the union has none) cannot agree or disagree.
    """
    ours, others = ([one for one in members if matches(one.cell.values, side)] for side in (this, against))
    have = [{axis for one in side for axis in one.cell.values} for side in (ours, others)]
    axes = sorted((have[0] & have[1]) - {*this, *against, *SEED_AXES})
    there: dict[tuple[Replicate, Values], list[Measured]] = {}
    for other in others:
        there.setdefault((other.replicate, values_of(other.cell, axes)), []).append(other)
    found: dict[Replicate, dict[_Pair, tuple[Measured, Measured]]] = {}
    for one in ours:
        place = values_of(one.cell, axes)
        for other in there.get((one.replicate, place), ()):
            pair = _Pair(place, setting_of(one.cell), setting_of(other.cell))
            found.setdefault(one.replicate, {})[pair] = one, other
    return found


def _cells(pairs: Mapping[Replicate, Iterable[_Pair]]) -> set[tuple[Replicate, Setting]]:
    return {(replicate, one) for replicate, own in pairs.items() for pair in own for one in (pair.this, pair.against)}


def _log_ratio(pairs: Sequence[tuple[Measured, Measured]]) -> float:
    """Return the mean log of one side less that of the other, a shared stage once."""
    ours, others = ({one.key: math.log(one.value) for one in side} for side in zip(*pairs, strict=True))
    return float(np.mean(list(ours.values())) - np.mean(list(others.values())))


def _interval(means: np.ndarray) -> Interval | None:
    if len(means) < 2:
        return None
    half = float(means.std(ddof=1) / math.sqrt(len(means)) * stats.t.ppf(0.975, len(means) - 1))
    return Interval(math.exp(means.mean() - half), math.exp(means.mean() + half))
