"""Blocks of rows: strategies that have a budget in common, each beside the one that all are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.best import not_worse
from mfsweep.analysis.claims import judge_measured
from mfsweep.analysis.comparison.settings import MEMBER
from mfsweep.analysis.records import Records
from mfsweep.analysis.replicates import labels
from mfsweep.analysis.selection import MeasuredCell, Spread, spread
from mfsweep.analysis.suite import settled
from mfsweep.report_records import ClaimRecord
from mfsweep.spec.figures import Claim

EqualBasis = Literal["labels", "label cost", "compute"]
EQUAL: dict[EqualBasis, str] = {
    "labels": "equal labels",
    "label cost": "equal cost of labels",
    "compute": "equal training time",
}

FEWEST = 3
"""Strategies of a budget from which on the best is more than a ratio of two."""


@dataclass(frozen=True)
class ComparedRow:
    """One strategy at the budget of its block."""

    strategy: str
    labels: Mapping[str, int]
    """Method -> distinct training labels; empty between two settings, of which `note` tells."""
    members: tuple[MeasuredCell, ...]
    """Errors: of what has converged, where there is any. Empty where the strategy was not measured at this budget."""
    seconds: float | None
    """Time of training, as of one device."""
    capped: int = 0
    """Cells that were left out, or of which nothing else is there."""
    against: str = ""
    """The strategy that it is compared with; empty of that itself."""
    claim: ClaimRecord | None = None
    may_be_best: bool = False
    """Whether its error is the lowest of the block, or cannot be told from that (Hsu's intervals, best.py)."""
    note: str = ""

    def alike(self, other: ComparedRow) -> bool:
        """Return whether another row shows the same trainings."""
        return (self.strategy, self.members) == (other.strategy, other.members)

    @property
    def error(self) -> Spread | None:
        """Return the geometric mean over replicates."""
        return spread(self.members) if self.members else None


@dataclass(frozen=True)
class ComparedBlock:
    """What is compared at one budget."""

    basis: EqualBasis
    family: str
    """What tells its data, partition or model from those of other blocks; empty where all blocks share them."""
    budget: str
    """In words."""
    rows: tuple[ComparedRow, ...]
    """The one that all are compared with first, then by error."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "equal": self.basis,
            "family": self.family,
            "budget": self.budget,
            "rows": [_row_json(row) for row in self.rows],
        }


def chosen(members: Sequence[MeasuredCell]) -> tuple[tuple[MeasuredCell, ...], int]:
    """Return what has converged, else all, and how many have not (docs/fairness.md#rule-10)."""
    kept = tuple(member for member in members if member.converged)
    return kept or tuple(members), len(members) - len(kept)


def compared(
    row: ComparedRow, other: ComparedRow, every: Sequence[MeasuredCell], y: str, where: str, records: Records | None
) -> ComparedRow:
    """Return a row with the record of its comparison with another row.

    Args:
        row: a strategy.
        other: the one that it is compared with.
        every: the errors of both, capped ones too.
        y: path of the metric.
        where: the budget, in words.
        records: as of `claims.judge_measured`.
    """
    numbers = [side.members[0].cell.values[MEMBER] for side in (row, other)]
    this, against = ({MEMBER: number} for number in numbers)
    says = f"{row.strategy} has a lower error than {other.strategy} {where}"
    claim = Claim(says=says, y=y, this=this, against=against, expect="lower")
    return replace(row, against=other.strategy, claim=judge_measured(says, claim, every, records))


def ordered(reference: ComparedRow, rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """Return the rows of a block in their order, with those marked that may be the best."""
    by_error = sorted(rows, key=lambda row: row.error.value if row.error else np.inf)
    every = [reference, *by_error]
    best = _may_be_best(every)
    return tuple(replace(row, may_be_best=number in best) for number, row in enumerate(every))


def settle(blocks: Sequence[ComparedBlock]) -> list[ComparedBlock]:
    """Return the blocks with their claims judged as one suite (suite.py)."""
    claims = iter(settled([row.claim for block in blocks for row in block.rows if row.claim]))
    return [
        replace(block, rows=tuple(replace(row, claim=next(claims)) if row.claim else row for row in block.rows))
        for block in blocks
    ]


def _may_be_best(rows: Sequence[ComparedRow]) -> set[int]:
    """Return the numbers of the rows whose error cannot be told from the lowest; none where nothing can be said."""
    usable = {number: row for number, row in enumerate(rows) if row.members and row.members[0].converged}
    if len(usable) < FEWEST:
        return set()
    replicate = labels(one.replicate for row in usable.values() for one in row.members)
    errors = [_by_replicate(row.members, replicate) for row in usable.values()]
    first, *others = errors
    common = sorted(set(first).intersection(*others), key=str)
    if len(common) < 2:
        return set()
    scores = np.array([[own[one] for one in common] for own in errors])
    return {number for number, fine in zip(usable, not_worse(scores), strict=True) if fine}


def _by_replicate(members: Sequence[MeasuredCell], replicate: Mapping[Any, SplitSeed]) -> dict[SplitSeed, float]:
    logs: dict[SplitSeed, list[float]] = {}
    for member in members:
        logs.setdefault(replicate[member.replicate], []).append(float(np.log(member.value)))
    return {name: float(np.exp(np.mean(values))) for name, values in logs.items()}


def _row_json(row: ComparedRow) -> dict[str, Any]:
    error, claim = row.error, row.claim
    plain: dict[str, Any] = {
        "strategy": row.strategy,
        "labels": dict(row.labels),
        "error": error.value if error else None,
        "error_low": error.low if error else None,
        "error_high": error.high if error else None,
        "replicates": error.replicates if error else 0,
        "device_seconds": row.seconds,
        "capped": row.capped,
        "may_be_best": row.may_be_best,
        "against": row.against or None,
        "note": row.note,
    }
    if claim is not None:
        keys = "estimate", "low", "high", "plain_low", "plain_high", "new_low", "new_high", "p", "adjusted_p", "needed"
        plain["ratio"] = {key: getattr(claim, key) for key in keys} | {
            "told": told(claim),
            "rests_on": claim.detail,
        }
    return plain


def told(claim: ClaimRecord) -> str:
    """Return what a comparison says: `lower`, `higher`, or `cannot tell`."""
    return {"agree": "lower", "disagree": "higher"}.get(claim.verdict, "cannot tell")
