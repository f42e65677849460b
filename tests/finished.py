"""A sweep without its trainings: every stage of a plan with a record, curves and evaluations, as a run leaves them."""

from __future__ import annotations

from collections.abc import Callable

from mfsweep.files import write_text
from mfsweep.metrics_file import append, line, pack
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.records import BestCheckpoint, EvaluationRecord, Record
from mfsweep.store import StoreFolder

BEST = BestCheckpoint(metric="validation.loss", step=4, value=0.5, file="checkpoints/selected.pt")


def finish(plan: Plan, error: Callable[[Node], float] | None = None) -> None:
    """Write what a run of a plan leaves in its stages' folders, but for weights and predictions.

    Args:
        plan: what is taken to be trained.
        error: of a stage, on its own validation and in its evaluations. With it every stage has converged; without,
            the numbers tell the stages apart, and `max_steps` has stopped each.
    """
    for number, node in enumerate(plan.graph.nodes.values(), 1):
        folder = plan.store.stage(node.key)
        (method,) = node.training.methods
        curve = f"validation.{method}.energy_mae"
        write_text(folder.training, node.training.model_dump_json(indent=1))
        lines = [line(step, {"train.loss": 1 / step, curve: 10.0 + number + 4 - step}, 1.7e9 + step) for step in (2, 4)]
        append(folder.metrics, lines)
        pack(folder.metrics)
        reason = "converged" if error else "max_steps"
        metrics = {curve: error(node) if error else 10.0 + number, "validation.loss": 1.0}
        folder.write_record(record(node, seconds=1, stop_reason=reason, metrics=metrics))
        for evaluation in node.evaluations:
            evaluate(plan.store, node, evaluation, error(node) if error else 20.0 + number)


def record(node: Node, **measured) -> Record:
    """Return the record of a stage: four steps with one checkpoint, and what was measured."""
    return Record(
        key=node.key,
        training=node.training.identity(),
        parent=node.parent,
        started=1.7e9,
        steps=4,
        selected=BEST,
        heads=dict.fromkeys(node.training.head_names, BEST),
        offsets={},
        shares=[],
        parameters=9,
        workers=1,
        host="node-1",
        versions={},
        **measured,
    )


def evaluate(store: StoreFolder, node, evaluation, error: float) -> None:
    """Write an evaluation of a stage with an error."""
    store.stage(node.key).write_evaluation(
        EvaluationRecord(
            name=evaluation.name,
            evaluation=evaluation.identity(),
            metrics={"energy_mae": error},
            offsets_only={"energy_mae": 200.0},
            structures=40,
            predictions="none.npz",
        )
    )
