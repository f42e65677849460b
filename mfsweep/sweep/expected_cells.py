"""The cells of a plan as if all were trained: what is known of ways, sizes and replicates before anything is."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis.records import Records, ScoredWeights, TrainedStage
from mfsweep.plan.metrics import measured_by
from mfsweep.prepare import Plan
from mfsweep.records import BestCheckpoint, CellRecord, Record

_NONE = BestCheckpoint(metric="", step=0, value=0.0, file="")


class ExpectedCells(Records):
    """Records in which every stage of a plan has converged, with every error that it will have at 1, in no time.

    Args:
        plan: of the whole grid.
        cells: its cells.
    """

    def __init__(self, plan: Plan, cells: Sequence[CellRecord]) -> None:
        super().__init__(plan.store, cells)
        self._nodes = plan.graph.nodes
        self._measured = measured_by(plan.spec, plan.graph)

    def stage(self, key: str) -> TrainedStage | None:
        """Return a stage of the plan as if it were trained."""
        if key in self._nodes and key not in self._stages:
            node, names = self._nodes[key], self._measured[key]
            record = Record(
                key=key,
                training=node.training.identity(),
                parent=node.parent,
                started=0.0,
                seconds=0.0,
                steps=0,
                stop_reason="converged",
                selected=_NONE,
                heads={},
                metrics={},
                offsets={},
                shares=[],
                parameters=0,
                workers=1,
                host="",
                versions={},
            )
            weights = {name.rpartition(".")[0]: ScoredWeights(None, 0) for name in names}
            self._stages[key] = TrainedStage(record, dict.fromkeys(names, 1.0), {}, weights)
        return self._stages.get(key)
