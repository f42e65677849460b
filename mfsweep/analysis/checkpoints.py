"""Where the selected checkpoint of a training and the best one of a readout head are not the same.

All numbers of a stage are those of its selected checkpoint (docs/fairness.md#rule-8). Beside them stands what each head
had at the step at which its own validation was best, and whether it was still improving when the training ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mfsweep.analysis.records import Records, TrainedStage
from mfsweep.quantities import BEST, Quantity
from mfsweep.records import CellRecord

CHECKPOINTS_HEAD = (
    "stage",
    "key",
    "head",
    "ended",
    "selected at step",
    "best at step",
    "method",
    "selected, meV/atom",
    "best, meV/atom",
)
TEXT = frozenset({0, 1, 2, 3, 6})


class TwoCheckpoints(NamedTuple):
    """One method of one head, at both checkpoints."""

    stage: str
    key: str
    head: str
    ended: str
    """How far the head had come: converged, max_steps or improving."""
    selected_step: int
    best_step: int
    method: str
    selected: float | None
    """Validation energy MAE, meV/atom."""
    best: float | None

    def row(self) -> tuple[str, ...]:
        """Return the fields of a table."""
        errors = ("" if error is None else f"{error:.1f}" for error in (self.selected, self.best))
        steps = f"{self.selected_step:,}", f"{self.best_step:,}"
        return self.stage, self.key, self.head, self.ended, *steps, self.method, *errors


def two_checkpoints(records: Records, cells: Sequence[CellRecord]) -> list[TwoCheckpoints]:
    """Return the heads whose best checkpoint is not the selected one, or that were still improving, by stage."""
    names = {key: name for cell in cells for name, key in cell.stages.items()}
    made: list[TwoCheckpoints] = []
    for key, name in sorted(names.items(), key=lambda item: (item[1], item[0])):
        if stage := records.stage(key):
            made += list(_of_stage(name, stage))
    return made


def _of_stage(name: str, stage: TrainedStage) -> Iterable[TwoCheckpoints]:
    record = stage.record
    for head, kept in record.heads.items():
        if kept.step == record.selected.step and head not in record.improving:
            continue
        learned = [labelled["labels"] for labelled in record.training["sets"]]
        for method in dict.fromkeys(one for one in learned if stage.weights[f"validation.{one}"].head == head):
            at = (
                stage.metrics.get(f"validation.{named}.{Quantity.ENERGY_MAE}") for named in (method, f"{method}@{BEST}")
            )
            ended = record.head_reasons.get(head, record.stop_reason)
            yield TwoCheckpoints(name, record.key, head, ended, record.selected.step, kept.step, method, *at)
