"""Spec file + data file + store -> a plan that can be run: what can be wrong is found here, before Ray starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfsweep.data.check import check
from mfsweep.data.dataset import Dataset, open_dataset
from mfsweep.data.source import digest, resolve
from mfsweep.plan.expand import expand
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
        return [
            CellRecord(
                values=planned.cell.values,
                stages=planned.keys,
                result=planned.cell.result,
                sizes={name: sizes[key] for name, key in planned.keys.items()},
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
    done = frozenset(key for key, node in graph.nodes.items() if place.stage(key).is_done(_identities(node)))
    return Plan(spec, place, source, graph, done, tuple(_check(spec, source, graph)))


def _check(spec: Spec, source: Path, graph: Graph) -> list[str]:
    """Check the stages of each partition together, each different demand once."""
    demands: dict[str, dict[object, Node]] = {}
    for node in graph.nodes.values():
        training = node.training
        content = (training.sets, training.recipe.batch.max_atoms, tuple(node.evaluations))
        demands.setdefault(_with_all_labels(spec, node).key, {}).setdefault(content, node)
    warnings: list[str] = []
    for nodes in (list(group.values()) for group in demands.values()):
        dataset = open_dataset(source, _with_all_labels(spec, nodes[0]))
        evaluations = [(node.training, evaluation) for node in nodes for evaluation in node.evaluations]
        warnings += check(dataset, [node.training for node in nodes], evaluations)
    return list(dict.fromkeys(warnings))


def _with_all_labels(spec: Spec, node: Node) -> ResolvedData:
    data = node.training.data
    if data.labels == spec.experiment.data.labels:
        return data
    return data.but(labels=spec.experiment.data.labels)


def _identities(node: Node) -> list[dict[str, object]]:
    return [evaluation.identity() for evaluation in node.evaluations]
