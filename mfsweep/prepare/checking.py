"""The stages of a plan against its data: what trains, what is tested, and whether the labels are there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from mfsweep.data.check import check
from mfsweep.data.remembered import Remembered
from mfsweep.data.view import open_view
from mfsweep.errors import DataError
from mfsweep.plan.graph import Node, StageGraph
from mfsweep.prepare.data_errors import at_its_line, data_errors
from mfsweep.spec.data import Derived, ResolvedData
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import Spec


def check_stages(
    spec: Spec, sources: Mapping[str, Path], graph: StageGraph, found: Gathered, memory: Path | None = None
) -> list[str]:
    """Check the stages of each partition together, those that ask for the same once; nothing without the data."""
    if not sources:
        return []
    partitions: dict[str, tuple[ResolvedData, dict[object, Node]]] = {}
    # Stages that differ in their derived methods alone stand together: labels that one trains on, another may test.
    derived: dict[str, Derived] = {}
    for node in graph.nodes.values():
        derived |= node.training.data.derived or {}
    for node in graph.nodes.values():
        data = with_all_labels(spec, node)
        data = data if data.derived == (derived or None) else data.but(derived=derived)
        demands = partitions.setdefault(data.key, (data, {}))[1]
        for demand in _demands(node):
            demands.setdefault(demand, node)
            if _size(node) > _size(demands[demand]):
                demands[demand] = node
    warnings: list[str] = []
    for data, demands in partitions.values():
        nodes = list({node.key: node for node in demands.values()}.values())
        evaluations = [(node.training, evaluation) for node in nodes for evaluation in node.evaluations]
        try:
            trainings = [node.training for node in nodes]
            warnings += check(open_view(sources, data), trainings, evaluations, Remembered(memory))
        except DataError as error:
            for one in data_errors(spec, sources, data, nodes) or [at_its_line(spec, error)]:
                found.add(one)
    return list(dict.fromkeys(warnings))


def _demands(node: Node) -> list[object]:
    """Return what a stage asks of the data, apart from sizes where they nest: the largest prefix holds the others."""
    training = node.training
    nest = len(training.sets) == 1 and training.sets[0].range is None and training.data.offsets == "fixed"
    sets = tuple((s.labels, s.subset, None if nest else s.extent) for s in training.sets)
    # The graph fills in an evaluation once: being the same object stands for being equal.
    caps = training.recipe.batch.max_atoms, training.edge_cap
    return [(sets, caps), *((sets, id(evaluation)) for evaluation in node.evaluations)]


def _size(node: Node) -> float:
    return sum(math.inf if s.end is None else s.end for s in node.training.sets)


def with_all_labels(spec: Spec, node: Node) -> ResolvedData:
    """Return the data of a stage with the keys of all methods, so that any of them can be evaluated."""
    data = node.training.data
    if data.labels == spec.experiment.data.labels:
        return data
    return data.but(labels=spec.experiment.data.labels)
