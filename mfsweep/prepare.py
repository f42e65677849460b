"""Spec file + data file + store -> a plan that can be run: what can be wrong is found here, before Ray starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mfsweep.data.check import check
from mfsweep.data.dataset import Dataset, open_dataset
from mfsweep.data.source import combined, digest, resolve
from mfsweep.errors import MissingDataError
from mfsweep.plan.expand import Cell, expand
from mfsweep.plan.figures import check_figures
from mfsweep.plan.fits import check_fits, check_search
from mfsweep.plan.graph import Graph, ModelFile, Node, build
from mfsweep.records import CellRecord, SetRecord
from mfsweep.spec.axes import Value
from mfsweep.spec.data import Derived, ResolvedData
from mfsweep.spec.load import Spec, load
from mfsweep.spec.stage import LabelledSet
from mfsweep.store import Store


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on this data and in this store."""

    spec: Spec
    store: Store
    sources: dict[str, Path]
    """The data files by name, absolute; a single one is named by the empty text."""
    digest: str
    """Of their content."""
    files: dict[str, Path]
    """sha256 -> path, absolute, of the model files that stages start from."""
    graph: Graph
    done: frozenset[str]
    """Keys of the stages that the store has already."""
    warnings: tuple[str, ...]
    points: tuple[Mapping[str, Value], ...] = ()
    """What a search has asked for so far."""
    heads: dict[str, ModelFile] = field(default_factory=dict)
    """What is known of the model files, by their paths in the spec."""

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
        return open_dataset(self.sources, self.data(node))

    def extended(self, points: Sequence[Mapping[str, Value]]) -> Plan:
        """Return the plan of a search with further points.

        Raises:
            SpecError: what the spec comes to there breaks a rule.
            DataError: what it asks of the data.
        """
        points = (*self.points, *points)
        graph = build(self.spec, expand(self.spec.at(points)), self.digest, self.heads)
        new = Graph({key: node for key, node in graph.nodes.items() if key not in self.graph.nodes}, [])
        warnings = dict.fromkeys([*self.warnings, *_check(self.spec, self.sources, new)])
        done = _done(self.store, graph)
        return replace(self, graph=graph, done=done, warnings=tuple(warnings), points=points)

    def again(self) -> Plan:
        """Return the plan with what the store has by now, after the run of another spec."""
        return replace(self, done=_done(self.store, self.graph))

    def cells(self) -> list[CellRecord]:
        """Return the cells as the analysis and the store know them."""
        sizes = {key: self._sizes(node) for key, node in self.graph.nodes.items()}
        sets = {key: self._sets(node) for key, node in self.graph.nodes.items()}
        evaluations = {key: _identities(node) for key, node in self.graph.nodes.items()}
        return [
            CellRecord(
                values=planned.cell.values,
                stages=planned.keys,
                result=planned.cell.result,
                sizes={name: sizes[key] for name, key in planned.keys.items()},
                sets={name: sets[key] for name, key in planned.keys.items()},
                evaluations={name: evaluations[key] for name, key in planned.keys.items()},
            )
            for planned in self.graph.cells
        ]

    def _sizes(self, node: Node) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for labelled in node.training.sets:
            sizes[labelled.labels] = sizes.get(labelled.labels, 0) + self._count(node, labelled)
        return sizes

    def _sets(self, node: Node) -> list[SetRecord]:
        derived = node.training.data.derived or {}
        found = []
        for own in node.training.sets:
            methods = derived[own.labels].methods if own.labels in derived else (own.labels,)
            start = own.range[0] if own.range else 0
            end = start + self._count(node, own)
            found.append(SetRecord(labels=own.labels, methods=list(methods), subset=own.subset, start=start, end=end))
        return found

    def _count(self, node: Node, labelled: LabelledSet) -> int:
        if labelled.end is not None:
            return labelled.end - (labelled.range[0] if labelled.range else 0)
        return len(self.dataset(node).training(labelled))


def prepare(
    path: Path, store: Path, resources: Mapping[str, Any] | None = None, *, allow_missing_data: bool = False
) -> Plan:
    """Read a spec, expand it, check it against its data, and look up what the store has of it.

    Of a search it plans the points that were asked for so far.

    Args:
        path: the spec.
        store: the store; it need not exist.
        resources: in place of the spec's `resources`, field by field.
        allow_missing_data: plan also where a data file is not at hand; then nothing is checked against it.

    Raises:
        SpecError: the spec.
        DataError: the data, or what the spec asks of them.
        StoreError: a damaged record.
        TrainingError: a model file that cannot be read.
    """
    spec = load(path, {"resources": dict(resources)} if resources else {})
    place = Store(store.absolute())
    folder = path.absolute().parent
    points = _asked(spec, place) if spec.searched else ()
    cells = expand(spec.at(points) if spec.searched else spec)
    tried = expand(spec.at([{**study, **_middle(spec)} for study in spec.studies()])) if spec.searched else []
    files = _model_files(spec, [*cells, *tried], folder)
    known = {name: file for name, (file, _) in files.items()}
    try:
        sources = {name: resolve(source, folder, name) for name, source in spec.experiment.data.files.items()}
    except MissingDataError as error:
        if not allow_missing_data:
            raise
        graph = build(
            spec, cells, f"not at hand: {spec.experiment.data.files}", {name: f for name, (f, _) in files.items()}
        )
        _check_paths(spec, graph)
        warning = f"{error} Planned without the data: sizes, labels and what is done already were not looked at"
        return Plan(spec, place, {}, "", {}, graph, frozenset(), (warning,), points)
    content = combined(
        {name: digest(file, place.digests if store.is_dir() else None) for name, file in sources.items()}
    )
    known = {name: file for name, (file, _) in files.items()}
    graph = build(spec, cells, content, known)
    # What a search will ask for is checked before it asks: once for each study, in the middle of its axes.
    wanted = build(spec, [*cells, *tried], content, known) if tried else graph
    _check_paths(spec, wanted)
    warnings = tuple(_check(spec, sources, wanted))
    paths = {file.digest: place for file, place in files.values()}
    return Plan(spec, place, sources, content, paths, graph, _done(place, graph), warnings, points, known)


def _check_paths(spec: Spec, graph: Graph) -> None:
    """Check what a spec says of its results: fits, figures and claims, and the objective of a search."""
    check_fits(spec, graph)
    check_search(spec, graph)
    check_figures(spec, graph)


def _asked(spec: Spec, store: Store) -> tuple[Mapping[str, Value], ...]:
    """Return the points that a search has asked for, without those of axes or values that the spec no longer has."""
    studies, axes = spec.studies(), spec.searched.keys()
    return tuple(
        point
        for point in store.sweep(spec.experiment.name).asked()
        if axes <= point.keys() and {axis: point[axis] for axis in point.keys() - axes} in studies
    )


def _middle(spec: Spec) -> dict[str, Value]:
    return {axis: distribution.middle for axis, distribution in spec.searched.items()}


def _model_files(spec: Spec, cells: Sequence[Cell], folder: Path) -> dict[str, tuple[ModelFile, Path]]:
    """Return what the plan must know of each model file that a stage starts from, and where it lies."""
    names = {live.file: live.name for cell in cells for live in cell.stages.values() if live.file is not None}
    if not names:
        return {}
    # Only a spec that names such a file pays for importing torch.
    from mfsweep.models.outside import describe, read

    found = {}
    for name, stage in names.items():
        path = (folder / Path(name).expanduser()).resolve()
        if not path.is_file():
            raise spec.document.error(("stages", stage, "start_from"), f"file:{name}", f"a model file: {path} is none")
        outside = read(path)
        heads = {head: outside.shape.hidden.get(head) for head in outside.shape.heads}
        file = ModelFile(digest(path), outside.model, heads, describe(outside.model))
        found[name] = (file, path)
    return found


def _done(store: Store, graph: Graph) -> frozenset[str]:
    begun = store.keys() & graph.nodes.keys()
    return frozenset(key for key in begun if store.stage(key).is_done(_identities(graph.nodes[key])))


def _check(spec: Spec, sources: Mapping[str, Path], graph: Graph) -> list[str]:
    """Check the stages of each partition together, those that ask for the same once."""
    partitions: dict[str, tuple[ResolvedData, dict[object, Node]]] = {}
    # Stages that differ in their derived methods alone stand together: labels that one trains on, another may test.
    derived: dict[str, Derived] = {}
    for node in graph.nodes.values():
        derived |= node.training.data.derived or {}
    for node in graph.nodes.values():
        data = _with_all_labels(spec, node)
        data = data if data.derived == (derived or None) else data.but(derived=derived)
        demands = partitions.setdefault(data.key, (data, {}))[1]
        for demand in _demands(node):
            demands.setdefault(demand, node)
            if _size(node) > _size(demands[demand]):
                demands[demand] = node
    warnings: list[str] = []
    for data, demands in partitions.values():
        nodes = {node.key: node for node in demands.values()}.values()
        evaluations = [(node.training, evaluation) for node in nodes for evaluation in node.evaluations]
        warnings += check(open_dataset(sources, data), [node.training for node in nodes], evaluations)
    return list(dict.fromkeys(warnings))


def _demands(node: Node) -> list[object]:
    """Return what a stage asks of the data, apart from sizes where they nest: the largest prefix holds the others."""
    training = node.training
    nest = len(training.sets) == 1 and training.sets[0].range is None and training.data.offsets == "fixed"
    sets = tuple((s.labels, s.subset, None if nest else s.extent) for s in training.sets)
    # The graph fills in an evaluation once: being the same object stands for being equal.
    return [(sets, training.recipe.batch.max_atoms), *((sets, id(evaluation)) for evaluation in node.evaluations)]


def _size(node: Node) -> float:
    return sum(math.inf if s.end is None else s.end for s in node.training.sets)


def _with_all_labels(spec: Spec, node: Node) -> ResolvedData:
    data = node.training.data
    if data.labels == spec.experiment.data.labels:
        return data
    return data.but(labels=spec.experiment.data.labels)


def _identities(node: Node) -> list[dict[str, object]]:
    return [evaluation.identity() for evaluation in node.evaluations]
