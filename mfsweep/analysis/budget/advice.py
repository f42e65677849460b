"""All that is said of a budget, for the command line, Python and the report alike; or why nothing can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.budget import say
from mfsweep.analysis.budget.against import EarlierDecision, WrittenDecision, earlier
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.decide import REACH, Decision, decide
from mfsweep.analysis.budget.measured import measured
from mfsweep.analysis.budget.targets import Aim, Target, aim
from mfsweep.analysis.records import Records
from mfsweep.records import CellRecord


@dataclass(frozen=True)
class Advice:
    """What to buy for a budget, and what there is to say of it."""

    decision: Decision
    targets: tuple[Aim, ...] = ()
    """The cheapest way to each target."""
    earlier: EarlierDecision | None = None
    """A decision of before, by the cells that are there now."""
    notes: tuple[str, ...] = ()
    """What is not in the cells: of offsets, and of labels that nobody counts."""

    @property
    def parts(self) -> Mapping[str, Sequence[str]]:
        """Return the sentences, under what each part is about, the decision first."""
        return {
            "What to buy": [say.buy(self.decision), *say.aims(self.decision, self.targets)],
            "How sure": [*say.sure(self.decision, self.earlier), *say.warnings(self.decision)],
            "What would change it": [say.more(self.decision), *say.change(self.decision)],
            "What it rests on": [*say.rests_on(self.decision), *self.notes],
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data, with the sentences."""
        told = {"against": self.earlier.as_json()} if self.earlier else {}
        return {**say.as_json(self.decision, self.targets), **told, "says": {k: list(v) for k, v in self.parts.items()}}


def advice(
    records: Records,
    cells: Sequence[CellRecord],
    prices: Prices,
    path: str,
    *,
    budget: float | None = None,
    targets: Sequence[Target] = (),
    reach: float = REACH,
    against: WrittenDecision | None = None,
    notes: Sequence[str] = (),
) -> Advice:
    """Return what to buy, by the trained cells of a study.

    Args:
        records: of the study.
        cells: of the study.
        prices: of labels and training.
        path: metric that is to be low.
        budget: in the prices' unit. Default: what the dearest trained cell has cost.
        targets: errors to get below, at the least cost.
        reach: times the largest measured size that a design may have.
        against: an earlier decision, of against.read.
        notes: what else there is to say.

    Raises:
        FitError: nothing can be said, with the reason.
    """
    found = decide(measured(records, cells, path), prices, budget, reach=reach)
    aims: list[Aim] = []
    for target in targets:
        same = target.path == str(found.measured.path)
        own = found if same else decide(measured(records, cells, target.path), prices, budget, reach=reach)
        aims.append(aim(own, target))
    before = None if against is None else earlier(found, against)
    return Advice(found, tuple(aims), before, tuple(notes))
