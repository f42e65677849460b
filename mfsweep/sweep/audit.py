"""One finished stage is trained again, in a store that is thrown away, and compared with its record.

The same software on the same kind of machine with as many workers gives the same bits on CPUs, and on GPUs numbers that
agree to rounding, which a training enlarges. What differs of these is said beside what came out.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mfsweep.analysis.mixed import NO_NUMBERS
from mfsweep.errors import StoreError
from mfsweep.files import finite
from mfsweep.plan.graph import Node, StageGraph
from mfsweep.prepare import Plan
from mfsweep.prepare.inventory import take
from mfsweep.records import EvaluationRecord, Record
from mfsweep.run.progress import describe
from mfsweep.run.sweep import RunSummary
from mfsweep.store import StageFolder, StoreFolder

TOLERANCE = 0.01
"""Relative difference of a metric that is put down to rounding."""
SHOWN = 3
"""Metrics that a sentence names."""


@dataclass(frozen=True)
class Audit:
    """How a stage came out when it was trained again."""

    key: str
    stage: str
    same_bits: bool
    """Whether the selected weights are the same, bit for bit."""
    differences: dict[str, tuple[float, float]]
    """Metric -> its value in the record and now, where they differ, most first."""
    otherwise: tuple[str, ...]
    """What was not the same as then: versions, machine, workers."""
    tolerance: float

    @property
    def largest(self) -> float:
        """Return the largest relative difference of a metric."""
        return max((_relative(*pair) for pair in self.differences.values()), default=0.0)

    @property
    def passed(self) -> bool:
        """Return whether the record stands: the same bits, or metrics within the tolerance."""
        return self.same_bits or self.largest <= self.tolerance

    def sentences(self) -> Iterator[str]:
        """Yield what came out, a line each."""
        if self.same_bits and not self.differences:
            yield f"{self.stage} ({self.key}) came out the same, bit for bit"
        elif self.passed:
            yield f"{self.stage} ({self.key}) came out the same to {self.largest:.2g} of each metric, not bit for bit"
        else:
            yield f"{self.stage} ({self.key}) came out otherwise: metrics differ by up to {self.largest:.2g}"
        for name, (then, now) in list(self.differences.items())[:SHOWN]:
            yield f"  {name}: {then:.6g} in the record, {now:.6g} now"
        if self.otherwise:
            yield f"  Not as then: {'; '.join(self.otherwise)}"
        elif not self.same_bits:
            yield "  Software, machine and workers are those of the record"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data; None for a metric that is not there now, and for a difference from it."""
        found = {
            "key": self.key,
            "stage": self.stage,
            "passed": self.passed,
            "same_bits": self.same_bits,
            "largest_relative_difference": self.largest,
            "differences": {name: {"record": then, "now": now} for name, (then, now) in self.differences.items()},
            "not_as_then": list(self.otherwise),
        }
        return finite(found)


def audit(
    plan: Plan,
    train: Callable[[Plan], RunSummary],
    *,
    key: str | None = None,
    seed: int | None = None,
    tolerance: float = TOLERANCE,
) -> Audit:
    """Train a finished stage again and compare.

    Args:
        plan: whose stage.
        train: trains what the store of a plan lacks.
        key: the first letters of its key; None: any stage, at random.
        seed: of the choice.
        tolerance: relative difference of a metric that is put down to rounding.

    Raises:
        StoreError: no such stage is done, its parent's weights are gone, or it failed this time.
    """
    node = _chosen(plan, key, seed)
    then = plan.store.stage(node.key)
    scratch = plan.store.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="audit-", dir=scratch) as folder:
        store = StoreFolder(Path(folder))
        store.prepare()
        nodes = {node.key: node}
        if node.parent is not None:
            # As it lies there: only its record and its weights are read, which a working copy may lack so far.
            if (record := plan.store.stage(node.parent).record()) is not None:
                plan.store.stage(node.parent).damaged_weights(record.selected)
            store.stage(node.parent).path.parent.mkdir(exist_ok=True)
            store.stage(node.parent).path.symlink_to(plan.store.stage(node.parent).path.absolute())
            nodes = {node.parent: replace(plan.graph.nodes[node.parent], parent=None, evaluations=[]), **nodes}
        graph = StageGraph(nodes, [])
        small = replace(plan, graph=graph, store=store, inventory=take(store, graph), points=())
        if node.parent is not None and node.parent not in small.done:
            raise StoreError(f"the stage {node.parent}, from which {node.key} starts, has no weights any more")
        summary = train(small)
        now = store.stage(node.key)
        for failure in summary.failures:
            raise StoreError(f"{describe(node)} ({node.key}) failed when it was trained again: {failure.reason}")
        return _compared(node, then, now, tolerance)


def _chosen(plan: Plan, key: str | None, seed: int | None) -> Node:
    done = sorted(plan.done)
    if key is not None:
        found = plan.store.find(key).key
        if found not in plan.done:
            raise StoreError(f"{key}: the stage {found} is not a finished one of {plan.spec.document.path}")
        return plan.graph.nodes[found]
    if not done:
        raise StoreError(f"{plan.store.root}: no stage of {plan.spec.document.path} is done: there is nothing to audit")
    return plan.graph.nodes[random.Random(seed).choice(done)]  # noqa: S311 (no secret)


def _compared(node: Node, then: StageFolder, now: StageFolder, tolerance: float) -> Audit:
    record, again = then.record(), now.record()
    if record is None or again is None:
        raise StoreError(f"{describe(node)} ({node.key}) has no record to compare")
    before, after = dict(_metrics(record)), dict(_metrics(again))
    for evaluation in node.evaluations:
        first, second = (one.evaluation(evaluation.identity()) for one in (then, now))
        before |= _named(first)
        after |= _named(second)
    differ = {name: (value, after.get(name, math.nan)) for name, value in before.items() if after.get(name) != value}
    return Audit(
        key=node.key,
        stage=describe(node),
        same_bits=record.selected.sha256 is not None and record.selected.sha256 == again.selected.sha256,
        differences=dict(sorted(differ.items(), key=lambda item: -_relative(*item[1]))),
        otherwise=tuple(_otherwise(record, again)),
        tolerance=tolerance,
    )


def _metrics(record: Record) -> Iterator[tuple[str, float]]:
    yield from record.metrics.items()
    yield "steps", float(record.steps)


def _named(made: EvaluationRecord | None) -> dict[str, float]:
    return {f"{made.name}.{name}": value for name, value in made.metrics.items()} if made else {}


def _otherwise(record: Record, again: Record) -> Iterator[str]:
    for package in sorted(record.versions.keys() | again.versions.keys()):
        then, now = record.versions.get(package, "none"), again.versions.get(package, "none")
        if then != now and package not in NO_NUMBERS:
            yield f"{package} {then} then, {now} now"
    pairs = (
        ("machine", record.machines, again.machines),
        ("workers", record.workers, again.workers),
        ("execution", record.execution, again.execution),
    )
    for what, then, now in pairs:
        if then and then != now:
            yield f"{what} {_said(then)} then, {_said(now)} now"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one.name} with {one.threads} threads" for one in value)
    return str(value)


def _relative(then: float, now: float) -> float:
    if math.isnan(now):
        return math.inf
    return abs(now - then) / max(abs(then), abs(now)) if then != now else 0.0
