"""Cells -> unique stages. Two cells that ask for the same training, down to its parents, share one node.

What a stage is named, which axes led to it, how it is scored and on what it runs never enter its key (spec/stage.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mfsweep.models.architecture import Architecture
from mfsweep.plan.evaluations import asked_of, check_name, check_short_names, filled
from mfsweep.plan.expand import Cell, LiveStage
from mfsweep.plan.heads import Widths, resolve_heads, widths
from mfsweep.plan.recipe import recipe
from mfsweep.plan.resolved import DataOf
from mfsweep.plan.rules import (
    check_evaluation,
    check_same_resources,
    check_stage,
    resolved_needs,
    test_subsets,
    tested_methods,
)
from mfsweep.spec.axes import SEEDS, Value
from mfsweep.spec.data import Content
from mfsweep.spec.gathered import Gathered, gathering
from mfsweep.spec.load import FieldPath, Spec
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, Head, LabelledSet, Recipe, Training

_SEEDS = frozenset(SEEDS)


@dataclass(slots=True)
class Node:
    """One stage to be trained once."""

    key: str
    name: str
    """The stage's name in the spec."""
    training: Training
    parent: str | None
    """Key of the parent's node."""
    values: dict[str, Value]
    """Axis -> label, for the axes on which the stage or its ancestors depend."""
    evaluations: list[Evaluation] = field(default_factory=list)
    cells: int = 0
    """Cells that need it."""
    resources: Resources = field(default_factory=Resources)
    """What it is given."""


@dataclass(slots=True)
class PlannedCell:
    """A cell and the stages it came to need."""

    cell: Cell
    keys: dict[str, str]
    """Stage name -> key."""


@dataclass(slots=True)
class StageGraph:
    """The stages of a spec, parents before children, and the cells that share them."""

    nodes: dict[str, Node]
    cells: list[PlannedCell]

    @property
    def stages_without_sharing(self) -> int:
        """Return how many stages would train if each cell were a trial of its own."""
        return sum(len(planned.keys) for planned in self.cells)

    def steps(self, *, shared: bool = True) -> int | None:
        """Return the optimiser steps at most, each stage once or once a cell; None when a stage has no step limit."""
        total = 0
        for node in self.nodes.values():
            if node.training.recipe.max_steps is None:
                return None
            total += node.training.recipe.max_steps * (1 if shared else node.cells)
        return total

    def lineage(self, key: str) -> list[Node]:
        """Return a stage's ancestors and itself, the first ancestor first."""
        chain: list[Node] = []
        at: str | None = key
        while at is not None:
            chain.append(self.nodes[at])
            at = self.nodes[at].parent
        return chain[::-1]

    def setting(self, key: str) -> object:
        """Return what a stage is but for its seeds: equal for replicates."""
        return tuple(
            (node.name, *((axis, value) for axis, value in node.values.items() if axis not in _SEEDS))
            for node in self.lineage(key)
        )

    def descendants(self, keys: Iterable[str]) -> set[str]:
        """Return the keys of all stages below the given ones."""
        below: set[str] = set(keys)
        start = frozenset(below)
        for node in self.nodes.values():
            if node.parent in below:
                below.add(node.key)
        return below - start


class ModelFile(NamedTuple):
    """What the plan has to know of a model file that stages start from."""

    digest: str
    """sha256 of its content."""
    model: Architecture
    heads: Widths
    """Its readout heads, with their hidden widths where they are not the model's."""
    described: str
    """The `model:` block of a spec that continues it."""


def build(
    spec: Spec,
    cells: list[Cell],
    content: Content,
    files: Mapping[str, ModelFile] | None = None,
    found: Gathered | None = None,
) -> StageGraph:
    """Return the graph of a spec's cells.

    Args:
        spec: the spec.
        cells: its cells.
        content: of the sources.
        files: the model files that stages start from, by their paths as the spec writes them.
        found: takes the errors; what has none is in the graph. Default: they are raised.

    Raises:
        SpecError: stages and evaluations that break a rule of the language, at their places.
    """
    with gathering(found) as own:
        return _Builder(spec, cells, content, files or {}, own).graph(cells)


class _Builder:
    def __init__(
        self, spec: Spec, cells: list[Cell], content: Content, files: Mapping[str, ModelFile], found: Gathered
    ) -> None:
        self.spec = spec
        self.found = found
        self.data = DataOf(spec, resolved_needs(spec, cells, found), content)
        self.files = files
        self.tests = test_subsets(cells)
        self.targets = tested_methods(cells)
        self.derived = {name for cell in cells for live in cell.stages.values() for name in live.mixture.derived}
        self.evaluations: dict[tuple[int, int], Evaluation] = {}
        """Identity in memory of an evaluation as written, and of a stage's mixture -> with everything filled in."""
        self.distinct: dict[Evaluation, Evaluation] = {}
        """One object for all equal evaluations."""
        self.nodes: dict[str, Node] = {}
        self.places: dict[str, dict[Evaluation, FieldPath]] = {}
        """Key -> the stage's evaluations, filled in, and where each stands in the spec."""
        self.known: dict[tuple[object, ...], str | None] = {}
        """(stage name, parent's key, axis values) -> key; None of a stage with an error."""
        self.given: dict[str, tuple[LiveStage, Cell]] = {}
        """Key -> where its resources are from."""
        self.parts: dict[tuple[int, int], _Parts] = {}
        """Checked once for each filled-in template, which many cells share."""
        self.heads: dict[tuple[object, ...], dict[str, Head] | None] = {}
        """The same templates and parent's heads -> own heads, made once."""
        self.widths: dict[tuple[object, ...], Widths] = {}
        """A parent's sets and heads -> its heads' widths."""

    def graph(self, cells: list[Cell]) -> StageGraph:
        planned = [PlannedCell(cell, keys) for cell in cells if len(keys := self._keys(cell)) == len(cell.stages)]
        for one in planned:
            with self.found.errors():
                self._check_short_names(one)
        return StageGraph(self.nodes, planned)

    def _keys(self, cell: Cell) -> dict[str, str]:
        """Add the nodes of one cell that are new; return its stage name -> key, of those without an error."""
        keys: dict[str, str] = {}
        for live in cell.stages.values():
            if (key := self._key(cell, live, keys)) is not None:
                keys[live.name] = key
        return keys

    def _key(self, cell: Cell, live: LiveStage, keys: Mapping[str, str]) -> str | None:
        if live.parent is not None and live.parent not in keys:
            with self.found.errors():
                self._own(live)
            return None
        depends = live.axes | cell.model_axes | _SEEDS
        values = {axis: label for axis, label in cell.values.items() if axis in depends}
        parent = keys[live.parent] if live.parent else None
        short = (live.name, parent, *values.items())
        if short not in self.known:
            self.known[short] = None
            with self.found.errors():
                node = self._node(cell, live, parent, values)
                self.known[short] = node.key
                self.nodes.setdefault(node.key, node)
                self.given.setdefault(node.key, (live, cell))
        if (key := self.known[short]) is None:
            return None
        node = self.nodes[key]
        if live.resources is not node.resources:
            with self.found.errors():
                check_same_resources(self.spec, self.given[key], (live, cell))
        node.cells += 1
        places = self.places.setdefault(key, {})
        for place, evaluation in asked_of(cell, live):
            with self.found.errors():
                resolved = self._resolved(evaluation, live, place)
                if resolved not in places:
                    check_evaluation(self.spec, live, resolved, place, self.tests)
                    check_name(self.spec, live, resolved, place, places.items())
                    places[resolved] = place
                    node.evaluations.append(resolved)
        return key

    def _check_short_names(self, planned: PlannedCell) -> None:
        for name, key in planned.keys.items():
            if len(self.places[key]) > 1:
                live = planned.cell.stages[name]
                asked = {self._resolved(own, live, place): place for place, own in asked_of(planned.cell, live)}
                check_short_names(self.spec, live, asked, self.places[key].items())

    def _resolved(self, evaluation: Evaluation, live: LiveStage, place: FieldPath) -> Evaluation:
        key = (id(evaluation), id(live.mixture))
        if key not in self.evaluations:
            whole = filled(self.spec, live, evaluation, place)
            asked = [method for method in (whole.labels, whole.offsets, whole.base) if method]
            contents = self.data.beyond(live.mixture, asked)
            whole = whole.but(contents=contents) if contents else whole
            self.evaluations[key] = self.distinct.setdefault(whole, whole)
        return self.evaluations[key]

    def _node(self, cell: Cell, live: LiveStage, parent: str | None, values: dict[str, Value]) -> Node:
        own = self._own(live)
        training = Training(
            data=self.data((cell.split_seed, cell.fold), live.mixture.methods, live.mixture.derived),
            model=cell.model,
            precision=self.spec.experiment.precision,
            seed=cell.seed,
            sets=own.sets,
            recipe=own.recipe,
            parent=parent,
            file=self._file(cell, live),
            heads=self._heads(cell, live, parent),
        )
        return Node(training.key, live.name, training, parent, values, resources=live.resources)

    def _own(self, live: LiveStage) -> _Parts:
        """Return what a stage has of its own, once it is checked."""
        key = (id(live.stage), id(live.mixture))
        if key not in self.parts:
            check_stage(self.spec, live, self.tests, self.derived, self.targets)
            sets = tuple(_sized(self.spec, labelled) for labelled in live.mixture.sets)
            self.parts[key] = _Parts(sets, recipe(self.spec, live))
        return self.parts[key]

    def _heads(self, cell: Cell, live: LiveStage, parent: str | None) -> dict[str, Head] | None:
        above = None
        if parent is not None:
            above = self._widths(self.nodes[parent].training)
        elif live.file is not None and live.file in self.files:
            above = self.files[live.file].heads
        model = cell.model
        own = (model.readout_hidden, model.conditioning)
        key = (id(live.stage), id(live.mixture), own, None if above is None else tuple(above.items()))
        if key not in self.heads:
            self.heads[key] = resolve_heads(self.spec, live, model, above)
        return self.heads[key]

    def _widths(self, training: Training) -> Widths:
        key = (id(training.sets), id(training.heads))
        if key not in self.widths:
            self.widths[key] = widths(training.head_names, training.heads)
        return self.widths[key]

    def _file(self, cell: Cell, live: LiveStage) -> str | None:
        if live.file is None:
            return None
        file = self.files[live.file]
        if file.model != cell.model:
            expected = f"the model of {live.file}, from which stage {live.name!r} starts: {file.described}"
            raise self.spec.document.error(("model",), cell.model.identity(), expected)
        return file.digest


class _Parts(NamedTuple):
    sets: tuple[LabelledSet, ...]
    recipe: Recipe


def _sized(spec: Spec, labelled: LabelledSet) -> LabelledSet:
    """Return the set in the one spelling of its extent: equal sets, equal keys.

    A range from 0 on is a size, and `all` the number it is where the subset's size is one. Where that is `rest`,
    only the data know the number: a key is made without them, so `all` and that number are two spellings there.
    """
    if labelled.range is not None:
        start, stop = labelled.range
        return labelled if start else labelled.but(range=None, size=stop)
    size = getattr(spec.experiment.data.splits, labelled.subset).size
    if labelled.size != "all" or size == "rest":
        return labelled
    return labelled.but(size=size)
