"""Spec file + data file + store -> a plan that can be run: what can be wrong is found here, before Ray starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfsweep.data.check import check
from mfsweep.data.dataset import Dataset, open_dataset
from mfsweep.data.source import digest, resolve
from mfsweep.plan.expand import expand
from mfsweep.plan.fits import check_fits
from mfsweep.plan.graph import Graph, Node, build
from mfsweep.spec.data import ResolvedData
from mfsweep.spec.load import Spec, load
from mfsweep.store import CellRecord, Store


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on this data and in this store."""

    spec: Spec
    store: Store
    source: Path
    """The data file, absolute."""
    graph: Graph
    done: frozenset[str]
    """Keys of the stages that the store has already."""
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the spec's name."""
        return self.spec.experiment.name

    def summary(self) -> dict[str, int | None]:
        """Return the counts that `plan --json` prints."""
        return {
            "cells": len(self.graph.cells),
            "stages": len(self.graph.nodes),
            "stages_without_sharing": self.graph.stages_without_sharing,
            "done": len(self.done),
            "steps_at_most": self.graph.steps(),
            "steps_at_most_without_sharing": self.graph.steps(shared=False),
        }

    def data(self, node: Node) -> ResolvedData:
        """Return the data of a stage with the keys of all methods, so that any of them can be evaluated."""
        return _with_all_labels(self.spec, node)

    def dataset(self, node: Node) -> Dataset:
        """Return the opened data of a stage."""
        return open_dataset(self.source, self.data(node))

    def cells(self) -> list[CellRecord]:
        """Return the cells as the analysis and the store know them."""
        sizes = {key: self._sizes(node) for key, node in self.graph.nodes.items()}
        evaluations = {key: _identities(node) for key, node in self.graph.nodes.items()}
        return [
            CellRecord(
                values=planned.cell.values,
                stages=planned.keys,
                result=planned.cell.result,
                sizes={name: sizes[key] for name, key in planned.keys.items()},
                evaluations={name: evaluations[key] for name, key in planned.keys.items()},
            )
            for planned in self.graph.cells
        ]

    def _sizes(self, node: Node) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for labelled in node.training.sets:
            size = labelled.size if isinstance(labelled.size, int) else len(self.dataset(node).training(labelled))
            sizes[labelled.labels] = sizes.get(labelled.labels, 0) + size
        return sizes


def prepare(path: Path, store: Path, resources: Mapping[str, Any] | None = None) -> Plan:
    """Read a spec, expand it, check it against its data, and look up what the store has of it.

    Args:
        path: the spec.
        store: the store; it need not exist.
        resources: in place of the spec's `resources`, field by field.

    Raises:
        SpecError: the spec.
        DataError: the data, or what the spec asks of them.
        StoreError: a damaged record.
    """
    spec = load(path, {"resources": dict(resources)} if resources else {})
    place = Store(store.absolute())
    cells = expand(spec)
    source = resolve(spec.experiment.data.source, path.absolute().parent)
    graph = build(spec, cells, digest(source, place.digests if store.is_dir() else None))
    check_fits(spec, graph)
    begun = place.keys() & graph.nodes.keys()
    done = frozenset(key for key in begun if place.stage(key).is_done(_identities(graph.nodes[key])))
    return Plan(spec, place, source, graph, done, tuple(_check(spec, source, graph)))


def _check(spec: Spec, source: Path, graph: Graph) -> list[str]:
    """Check the stages of each partition together, those that ask for the same once."""
    partitions: dict[str, tuple[ResolvedData, dict[object, Node]]] = {}
    for node in graph.nodes.values():
        data = _with_all_labels(spec, node)
        demands = partitions.setdefault(data.key, (data, {}))[1]
        for demand in _demands(node):
            demands.setdefault(demand, node)
            if _size(node) > _size(demands[demand]):
                demands[demand] = node
    warnings: list[str] = []
    for data, demands in partitions.values():
        nodes = {node.key: node for node in demands.values()}.values()
        evaluations = [(node.training, evaluation) for node in nodes for evaluation in node.evaluations]
        warnings += check(open_dataset(source, data), [node.training for node in nodes], evaluations)
    return list(dict.fromkeys(warnings))


def _demands(node: Node) -> list[object]:
    """Return what a stage asks of the data, apart from sizes where they nest: the largest prefix holds the others."""
    training = node.training
    nest = len(training.sets) == 1 and training.data.offsets == "fixed"
    sets = tuple((s.labels, s.subset, None if nest else s.size) for s in training.sets)
    # The graph fills in an evaluation once: being the same object stands for being equal.
    return [(sets, training.recipe.batch.max_atoms), *((sets, id(evaluation)) for evaluation in node.evaluations)]


def _size(node: Node) -> float:
    return sum(math.inf if s.size == "all" else s.size for s in node.training.sets)


def _with_all_labels(spec: Spec, node: Node) -> ResolvedData:
    data = node.training.data
    if data.labels == spec.experiment.data.labels:
        return data
    return data.but(labels=spec.experiment.data.labels)


def _identities(node: Node) -> list[dict[str, object]]:
    return [evaluation.identity() for evaluation in node.evaluations]
