"""Statements of a spec, held against the records, each by itself: suite.py looks at them together.

Of a metric, the cells of both sides are paired where all other axes agree; within a replicate (replicates.py) the log
ratios of its pairs are averaged, and the interval is Student's over the replicates. Only the pairs that every replicate
has count (balance.py). Of a law, gradients are compared (transfer.py).

What has not converged carries no claim (docs/fairness.md#rule-10): it is left out, and counted as capped. Where too
little is left without it, the numbers are those of all cells, and the verdict is that one cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mfsweep.analysis.law import WEAK
from mfsweep.analysis.molecules import Beyond, beyond, predicted_by
from mfsweep.analysis.pooled import Both, alone, difference
from mfsweep.analysis.ratios import TestedNumber, divided, evidence, ratio
from mfsweep.analysis.records import Records
from mfsweep.analysis.selection import MeasuredCell, matches, measure, select
from mfsweep.analysis.suite import ends_of_new, statement_of, told_of
from mfsweep.analysis.table import Points, points
from mfsweep.analysis.transfer import FitRequest
from mfsweep.analysis.verdicts import verdict
from mfsweep.errors import FitError
from mfsweep.quantities import count
from mfsweep.records import CellRecord
from mfsweep.report_records import ClaimRecord
from mfsweep.spec.figures import Cells, Claim


def judge(
    records: Records, cells: Sequence[CellRecord], name: str, claim: Claim, fits: Sequence[FitRequest] = ()
) -> ClaimRecord:
    """Return what came out for one claim by itself; one that cannot be measured yet says why.

    Arguments:
        records: the trained stages.
        cells: the grid.
        name: the claim's name in the spec.
        claim: the statement.
        fits: the spec's, of which `claim.gradient` names one.
    """
    meant = select(cells, claim.where)
    nothing = _nothing(name, claim)
    try:
        if claim.y is not None:
            members = measure(records, meant, claim.y)
            if claim.over:
                beside = measure(records, select(cells, {**claim.where, **claim.over}), claim.y)
                members = list(divided(members, beside, claim.over))
            return _of_metric(nothing, claim, members, None if claim.over else records)
        request = next(one for one in fits if one.name == claim.gradient)
        return _of_gradient(nothing, claim, points(records, meant, request.x, request.y, request.group_by))
    except FitError as error:
        return nothing.model_copy(update={"detail": str(error)})


def judge_measured(
    name: str, claim: Claim, members: Sequence[MeasuredCell], records: Records | None = None
) -> ClaimRecord:
    """Return what came out for one claim about a metric, of values that are there already.

    Arguments:
        name: the claim's.
        claim: the statement; its `where` and `over` play no role.
        members: the cells of both sides and their values.
        records: the trained stages, where the values are errors that these have; None: whose predictions are not looked
            at.
    """
    return _of_metric(_nothing(name, claim), claim, members, records)


def _nothing(name: str, claim: Claim) -> ClaimRecord:
    return ClaimRecord(
        name=name,
        says=claim.says,
        measure=_measured(claim),
        estimate=None,
        low=None,
        high=None,
        verdict="cannot tell",
        detail="",
        recommends=claim.recommends,
        expect=claim.expect,
        stated=_stated(claim),
        ratio=claim.y is not None,
    )


def _measured(claim: Claim) -> str:
    if claim.over:
        return f"ratio of ratios of {claim.y}"
    if claim.y:
        return f"ratio of {claim.y}"
    return f"{'difference of gradients' if claim.against else 'gradient'} of law {claim.gradient}"


def _stated(claim: Claim) -> float | None:
    if claim.expect == "equal":
        return 0.1 if claim.margin is None else claim.margin
    return claim.value if claim.expect == "value" else claim.bound


def _of_metric(
    nothing: ClaimRecord, claim: Claim, members: Sequence[MeasuredCell], records: Records | None
) -> ClaimRecord:
    against = claim.against or {}
    sides = [one for one in members if any(matches(one.cell.values, side) for side in (claim.this, against))]
    kept = [one for one in sides if one.converged]
    clean, every = ratio(kept, claim.this, against), ratio(sides, claim.this, against)
    if every is None:
        return nothing.model_copy(update={"detail": "no pair of cells is measured yet"})
    shown = clean if clean and _has_interval(clean) else every
    if records is not None and (more := _beyond(records, shown, claim.y or "")):
        nothing = nothing.model_copy(update={"beyond": more.variance, "formulae": more.formulae})
        if not _has_interval(shown):
            alone = ends_of_new(shown.estimate.value, 0.0, 1.0, *more)
            nothing = nothing.model_copy(update=alone)
    return _finished(nothing, clean, every, _Capped(len(sides) - len(kept), len(sides), "cell"))


def _beyond(records: Records, found: TestedNumber, path: str) -> Beyond | None:
    """Return what the choice of tested formulae adds, where every pair's predictions are there."""
    tested = {one: [predicted_by(records, *cells, path) for cells in pairs] for one, pairs in found.pairs.items()}
    if any(None in pairs for pairs in tested.values()):
        return None
    return beyond({one: [pair for pair in pairs if pair] for one, pairs in tested.items()})


def _of_gradient(nothing: ClaimRecord, claim: Claim, found: Points) -> ClaimRecord:
    kept = replace(found, points=tuple(point for point in found if point.converged))
    clean, every = _gradient(claim, kept), _gradient(claim, found)
    if every is None:
        return nothing.model_copy(update={"detail": "too few points for a line"})
    return _finished(nothing, clean, every, _Capped(len(found) - len(kept), len(found), "point"))


def _gradient(claim: Claim, found: Points) -> TestedNumber | None:
    """Return the gradient of one side, or its difference to the other's; None where there is no line."""
    this = _side(found, claim.this)
    ours = alone(this)
    if ours is None:
        return None
    keys = {"this": sorted({point.x_key + point.y_key for point in this})}
    if claim.against is None:
        return _found(ours.gradient, ours.replicates, f"{ours.behind}, {ours.over}", keys)
    against = _side(found, claim.against)
    other = alone(against)
    if other is None:
        return None
    keys["against"] = sorted({point.x_key + point.y_key for point in against})
    beside = f"{other.gradient.shown.value:.2f} ({other.behind})"
    rests_on = f"{ours.gradient.shown.value:.2f} ({ours.behind}) less {beside}, {ours.over}"
    return _found(difference(this, against), min(ours.replicates, other.replicates), rests_on, keys)


def _found(both: Both, replicates: int, rests_on: str, keys: Mapping[str, list[str]]) -> TestedNumber:
    return TestedNumber(both.shown, replicates, rests_on, evidence(dict(keys)), both.least_squares, weak=both.weak)


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


def _finished(nothing: ClaimRecord, clean: TestedNumber | None, every: TestedNumber, capped: _Capped) -> ClaimRecord:
    """Return the record of a claim from the numbers without and with what is capped."""
    shown = clean if clean is not None and _has_interval(clean) else every
    usable = shown is clean and not shown.weak
    said = [shown.rests_on]
    if capped.number:
        said.append(f"{capped}, left out" if shown is clean else f"{capped}, no claim")
    elif not _has_interval(shown):
        said.append("an interval needs two")
    if shown.weak:
        said.append(WEAK)
    statement = statement_of(nothing)
    if usable and shown.least_squares:
        told = {verdict(one, statement) for one in (shown.estimate, shown.least_squares)}
        if told == {"agree", "disagree"}:
            usable = False
            said.append(f"least squares, {shown.least_squares.value:.2f}, say the opposite: no claim")
    found = shown.estimate
    made = nothing.model_copy(
        update={
            "estimate": math.exp(found.value) if nothing.ratio else found.value,
            "error": found.error if _has_interval(shown) else None,
            "freedom": found.freedom if _has_interval(shown) else None,
            "replicates": shown.replicates,
            "usable": usable,
            "evidence": evidence([shown.evidence, nothing.measure]),
            "detail": "; ".join(said),
        }
    )
    return told_of(made, found, shown.replicates) if _has_interval(shown) else made


def _has_interval(found: TestedNumber) -> bool:
    one = found.estimate
    return math.isfinite(one.error) and one.freedom > 0 and one.interval().bounded
