"""Spec file + data file + store -> a plan that can be run: what can be wrong is found here, before Ray starts."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mfsweep.data.check import check
from mfsweep.data.dataset import Dataset, open_dataset
from mfsweep.data.source import contents, resolve, variables
from mfsweep.dataerrors import at_its_line, data_errors
from mfsweep.errors import DataError, MissingDataError, SpecError
from mfsweep.gathered import Gathered
from mfsweep.inventory import Inventory, identities, is_done, take
from mfsweep.labelcosts import with_measured
from mfsweep.modelfiles import model_files
from mfsweep.plan.expand import expand
from mfsweep.plan.figures import check_figures
from mfsweep.plan.fits import check_fits, check_search
from mfsweep.plan.foresight import foreseen
from mfsweep.plan.graph import Graph, ModelFile, Node, build
from mfsweep.points import Point, asked, text, tried
from mfsweep.records import CellRecord, SetRecord
from mfsweep.spec.data import INDICES, Content, Derived, ResolvedData
from mfsweep.spec.figures import Figure
from mfsweep.spec.load import Spec, read
from mfsweep.spec.stage import LabelledSet
from mfsweep.store import Store


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on this data and in this store."""

    spec: Spec
    store: Store
    sources: dict[str, Path]
    """The data files by name, absolute; a single one is named by the empty text. Empty where one is not at hand."""
    content: Content
    """Of the data files."""
    files: dict[str, Path]
    """sha256 -> path, absolute, of the model files that stages start from."""
    graph: Graph
    inventory: Inventory
    """What the store has of it."""
    warnings: tuple[str, ...]
    """What there is to say of the spec and its data."""
    points: tuple[Point, ...] = ()
    """What a search has asked for so far."""
    tried: Graph = field(default_factory=lambda: Graph({}, []))
    """Of a search, the stages at the points where it was checked before it asked."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """The spec's, with measured costs filled in where the data are at hand."""
    heads: dict[str, ModelFile] = field(default_factory=dict)
    """What is known of the model files, by their paths in the spec."""

    @property
    def name(self) -> str:
        """Return the spec's name."""
        return self.spec.experiment.name

    @property
    def done(self) -> frozenset[str]:
        """Return the keys of the stages that the store has already."""
        return self.inventory.done

    def is_done(self, key: str) -> bool:
        """Return whether the store has a stage by now, with its weights where a stage to be run starts from them."""
        return is_done(self.store, self.graph.nodes[key], with_weights=key in self.inventory.needed)

    def damage(self) -> list[str]:
        """Return what is damaged in the store, a sentence for each file."""
        found = [*self.inventory.damaged, *self.store.sweep(self.name).damaged()]
        again = ": `mfsweep run` sets it aside and makes it again"
        return [f"{one}" if one.whole else f"{one}{again}" for one in found]

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

    def extended(self, points: Sequence[Point]) -> Plan:
        """Return the plan of a search with further points.

        Raises:
            SpecError: what the spec comes to there breaks a rule.
            DataError: what it asks of the data.
        """
        points = (*self.points, *points)
        graph = build(self.spec, expand(self.spec.at(points)), self.content, self.heads)
        new = Graph({key: node for key, node in graph.nodes.items() if key not in self.graph.nodes}, [])
        found = Gathered()
        warnings = dict.fromkeys([*self.warnings, *_check(self.spec, self.sources, new, found)])
        found.tell()
        inventory = take(self.store, graph)
        return replace(self, graph=graph, inventory=inventory, warnings=tuple(warnings), points=points)

    def again(self) -> Plan:
        """Return the plan with what the store has by now, after the run of another spec."""
        return replace(self, inventory=take(self.store, self.graph))

    def cells(self) -> list[CellRecord]:
        """Return the cells as the analysis and the store know them."""
        sizes = {key: self._sizes(node) for key, node in self.graph.nodes.items()}
        sets = {key: self._sets(node) for key, node in self.graph.nodes.items()}
        evaluations = {key: identities(node) for key, node in self.graph.nodes.items()}
        return [
            CellRecord(
                values=planned.cell.values,
                stages=planned.keys,
                result=planned.cell.result,
                sizes={name: sizes[key] for name, key in planned.keys.items()},
                sets={name: sets[key] for name, key in planned.keys.items()},
                evaluations={name: evaluations[key] for name, key in planned.keys.items()},
                axes={name: list(self.graph.nodes[key].values) for name, key in planned.keys.items()},
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
    path: Path,
    store: Path,
    resources: Mapping[str, Any] | None = None,
    *,
    allow_missing_data: bool = False,
    verify: bool = False,
) -> Plan:
    """Read a spec, expand it, check it against its data, and look up what the store has of it.

    Of a search it plans the points that were asked for so far, and checks the ends and the middle of its axes too.

    Args:
        path: the spec.
        store: the store; it need not exist.
        resources: in place of the spec's `resources`, field by field.
        allow_missing_data: plan also where a data file is not at hand; then nothing is checked against it.
        verify: read every data file, whatever the store remembers of it.

    Raises:
        SpecError: the spec, and what it asks of the data: all that is found, each with its line.
        DataError: the data, or what the spec asks of them.
        TrainingError: a model file that cannot be read.
    """
    found = Gathered()
    spec = read(path, {"resources": dict(resources)} if resources else {}, found)
    if spec is None:
        found.tell()
        raise AssertionError("what cannot be read has been told")
    with found.errors():
        _refuse_axes_in_sources(spec)
    kept = Store(store.absolute())
    folder = path.absolute().parent
    # A search is checked before it asks.
    at = spec.at(tried(spec)) if spec.searched else spec
    before = len(found)
    cells = expand(at, found)
    files: dict[str, tuple[ModelFile, Path]] = {}
    with found.errors():
        files = model_files(spec, cells, folder)
    heads = {name: file for name, (file, _) in files.items()}
    warnings: tuple[str, ...] = ()
    sources: dict[str, Path] = {}
    content = Content(digest="not known")
    try:
        sources = {name: resolve(source, folder, name) for name, source in spec.experiment.data.files.items()}
        if indices := spec.experiment.data.splits.indices:
            sources[INDICES] = resolve(indices, folder, place="data.splits.given")
        hashed = kept.digests if kept.is_there else None
        content = contents(sources, hashed, anew=verify, atoms=spec.experiment.data.offsets == "isolated_atoms")
    except MissingDataError as error:
        if not allow_missing_data:
            found.add(at_its_line(spec, error))
        sources, content = {}, Content(digest=f"not at hand: {spec.experiment.data.files}", at_hand=False)
        warnings = (f"{error} Planned without the data: sizes, labels and what is done already were not looked at",)
    except DataError as error:
        found.add(at_its_line(spec, error))
        sources = {}
    graph = build(spec, cells, content, heads, found)
    if len(found) == before:  # else fits and figures would seem to name what only the errors took away
        check_fits(spec, graph, found)
        with found.errors():
            check_search(spec, graph)
        check_figures(spec, graph, found)
    if not found:
        warnings += tuple(foreseen(spec, graph))
    warnings += tuple(_check(spec, sources, graph, found))
    figures = dict(spec.experiment.figures)
    with found.errors():
        figures = with_measured(spec, sources) if sources else figures
    found.tell()
    paths = {file.digest: place for file, place in files.values()}
    plan = Plan(spec, kept, sources, content, paths, graph, take(kept, graph), warnings, heads=heads, figures=figures)
    return _at_asked_points(plan) if spec.searched else plan


def _refuse_axes_in_sources(spec: Spec) -> None:
    """Refuse `${name}` of an axis in the path of a source, where it means a variable of the environment.

    Raises:
        SpecError: all cells have the same data.
    """
    axes = {axis for block in [*spec.blocks, spec.searched] for axis in block}
    for name, source in spec.experiment.data.files.items():
        if taken := axes.intersection(variables(source)):
            place = ("data", "sources", name) if name else ("data", "source")
            expected = f"a path without the axis {min(taken)}: all cells have the same data. ${{NAME}} means a variable"
            raise spec.document.error(place, source, f"{expected} of the environment here")


def _at_asked_points(plan: Plan) -> Plan:
    """Return the plan of a search at the points it has asked for, given its plan where it was tried.

    A point that the spec has come to forbid since is left out with a warning: nobody wrote it.
    """
    nothing = replace(plan, graph=Graph({}, []), inventory=Inventory(), tried=plan.graph)
    points = asked(plan.spec, plan.store)
    with contextlib.suppress(SpecError, DataError):
        return nothing.extended(points)
    left, warnings = list[Point](), list[str]()
    for point in points:
        try:
            nothing.extended([point])
            left.append(point)
        except (SpecError, DataError) as error:
            warnings.append(f"{text(point)}, which the search asked for earlier, is left out: {error}")
    return replace(nothing, warnings=(*plan.warnings, *warnings)).extended(left)


def _check(spec: Spec, sources: Mapping[str, Path], graph: Graph, found: Gathered) -> list[str]:
    """Check the stages of each partition together, those that ask for the same once; nothing without the data."""
    if not sources:
        return []
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
        nodes = list({node.key: node for node in demands.values()}.values())
        evaluations = [(node.training, evaluation) for node in nodes for evaluation in node.evaluations]
        try:
            warnings += check(open_dataset(sources, data), [node.training for node in nodes], evaluations)
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


def _with_all_labels(spec: Spec, node: Node) -> ResolvedData:
    data = node.training.data
    if data.labels == spec.experiment.data.labels:
        return data
    return data.but(labels=spec.experiment.data.labels)
