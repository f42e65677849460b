"""How far each stage of a sweep is, and what it measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.prepare.pruned import pruned_points, spared
from mfsweep.quantities import span
from mfsweep.records import EvaluationRecord, Record
from mfsweep.spec.axes import Value
from mfsweep.store.lease import DEAD_SECONDS

StageState = Literal["done", "trained", "failed", "pruned", "skipped", "running", "begun", "to do"]
"""`trained`: an evaluation is missing. `running`: a process is at it now; `begun`: one was. `pruned`: a search has
stopped it; `skipped`: no point needs it any more."""


@dataclass(frozen=True)
class StageStatus:
    """One stage of a sweep."""

    key: str
    stage: str
    """Its name in the spec."""
    values: Mapping[str, Value]
    """Axis -> value, of the axes that it depends on."""
    state: StageState
    log: Path
    reason: str | None = None
    """Why it failed, or was stopped."""
    silent: float | None = None
    """Seconds since the run that is at it was heard of; None where that is not long ago, or no run is at it."""
    record: Record | None = None
    """Once it is trained."""
    evaluations: Mapping[str, EvaluationRecord] = field(default_factory=dict)
    """Name of an evaluation -> what it measured."""

    @property
    def title(self) -> str:
        """Return its name with its axis values."""
        return " ".join([self.stage, *(f"{axis}={value}" for axis, value in self.values.items())])

    @property
    def note(self) -> str:
        """Return in a line why it failed or was stopped, or that its run is silent; of most stages nothing."""
        if self.silent is not None:
            return f"last heard {span(self.silent)} ago"
        return (self.reason or "").strip().partition("\n")[0]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return what its validation measured; nothing before it is trained."""
        return self.record.metrics if self.record else {}

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        row: dict[str, Any] = {"key": self.key, "stage": self.stage, "values": self.values, "state": self.state}
        if self.reason:
            row |= {"reason": self.reason, "log": str(self.log)}
        if self.silent is not None:
            row["silent"] = round(self.silent, 1)
        if (record := self.record) is not None:
            row |= {"steps": record.steps, "stop_reason": record.stop_reason, "metrics": record.metrics}
            row |= {"selected_step": record.selected.step, "head_reasons": record.head_reasons}
            row["evaluations"] = {name: one.metrics for name, one in self.evaluations.items()}
            row["offsets_only"] = {name: one.offsets_only for name, one in self.evaluations.items()}
        return row


def status(plan: Plan) -> list[StageStatus]:
    """Return how far each stage of a plan is, parents first."""
    not_needed = spared(plan, pruned_points(plan))
    return [_status(plan, node, is_needed=node.key not in not_needed) for node in plan.graph.nodes.values()]


def _status(plan: Plan, node: Node, *, is_needed: bool) -> StageStatus:
    folder, is_done = plan.store.stage(node.key), node.key in plan.done
    record = folder.record()
    failure = None if is_done else folder.failure()
    pruning = None if record else folder.pruning()
    state: StageState = "trained" if record else "pruned" if pruning else "begun" if folder.path.exists() else "to do"
    state = "skipped" if state in ("begun", "to do") and not is_needed else state
    state = "running" if state == "begun" and not plan.store.is_abandoned(node.key) else state
    state = "done" if is_done else "failed" if failure else state
    reason = failure or (pruning.reason if pruning else None)
    silence = folder.silence() if state == "running" else None
    silent = silence if silence is not None and silence > DEAD_SECONDS else None
    made = {one.name: found for one in node.evaluations if record and (found := folder.evaluation(one.identity()))}
    return StageStatus(node.key, node.name, node.values, state, folder.log, reason, silent, record, made)
