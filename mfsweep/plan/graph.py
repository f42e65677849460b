"""Cells -> unique stages. Two cells that ask for the same training, down to its parents, share one node.

What a stage is named, which axes led to it, how it is scored and on what it runs never enter its key (spec/stage.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mfsweep.plan.expand import Cell, LiveStage
from mfsweep.plan.rules import (
    check_evaluation,
    check_heads,
    check_methods,
    check_stage,
    resolved_needs,
    test_subsets,
)
from mfsweep.quantities import metric_path
from mfsweep.spec.axes import SEEDS, Value
from mfsweep.spec.data import ResolvedData, Splits, SubsetName
from mfsweep.spec.load import Spec
from mfsweep.spec.stage import Evaluation, LabelledSet, LossWeights, Recipe, Training

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


@dataclass(slots=True)
class PlannedCell:
    """A cell and the stages it came to need."""

    cell: Cell
    keys: dict[str, str]
    """Stage name -> key."""


@dataclass(slots=True)
class Graph:
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

    def descendants(self, keys: Iterable[str]) -> set[str]:
        """Return the keys of all stages below the given ones."""
        below: set[str] = set(keys)
        start = frozenset(below)
        for node in self.nodes.values():
            if node.parent in below:
                below.add(node.key)
        return below - start


def build(spec: Spec, cells: list[Cell], digest: str) -> Graph:
    """Return the graph of a spec's cells over a source with the given content digest.

    Raises:
        SpecError: a stage or evaluation that breaks a rule of the language, at its place.
    """
    return _Builder(spec, cells, digest).graph(cells)


class _Builder:
    def __init__(self, spec: Spec, cells: list[Cell], digest: str) -> None:
        self.spec = spec
        self.data = _DataOf(spec, resolved_needs(spec, cells), digest)
        self.tests = test_subsets(cells)
        self.evaluations: dict[int, Evaluation] = {}
        """Identity in memory of an evaluation as written -> the one with everything filled in."""
        self.distinct: dict[Evaluation, Evaluation] = {}
        """One object for all equal evaluations."""
        self.nodes: dict[str, Node] = {}
        self.known: dict[tuple[object, ...], str] = {}
        """(stage name, parent's key, axis values) -> key."""
        self.parts: dict[tuple[int, int], _Parts] = {}
        """Checked once for each filled-in template, which many cells share."""

    def graph(self, cells: list[Cell]) -> Graph:
        planned = [PlannedCell(cell, self._keys(cell)) for cell in cells]
        return Graph(self.nodes, planned)

    def _keys(self, cell: Cell) -> dict[str, str]:
        """Add the nodes of one cell that are new; return its stage name -> key."""
        keys: dict[str, str] = {}
        for live in cell.stages.values():
            depends = live.axes | cell.model_axes | _SEEDS
            values = {axis: label for axis, label in cell.values.items() if axis in depends}
            parent = keys[live.parent] if live.parent else None
            short = (live.name, parent, *values.items())
            if short not in self.known:
                node = self._node(cell, live, parent, values)
                self.known[short] = node.key
                self.nodes.setdefault(node.key, node)
            keys[live.name] = key = self.known[short]
            node = self.nodes[key]
            node.cells += 1
            wanted = live.stage.evaluate + (cell.evaluations if live.name == cell.result else ())
            for evaluation in wanted:
                resolved = self._resolved(evaluation, live)
                if resolved not in node.evaluations:
                    check_evaluation(self.spec, live, evaluation, node.evaluations, self.tests)
                    node.evaluations.append(resolved)
        return keys

    def _resolved(self, evaluation: Evaluation, live: LiveStage) -> Evaluation:
        if id(evaluation) not in self.evaluations:
            check_methods(self.spec, live, evaluation)
            head, offsets = evaluation.head or evaluation.labels, evaluation.offsets or evaluation.labels
            known = self.spec.experiment.data.labels
            keys = (known[evaluation.labels], known[offsets])
            filled = evaluation.but(head=head, offsets=offsets, keys=keys)
            self.evaluations[id(evaluation)] = self.distinct.setdefault(filled, filled)
        return self.evaluations[id(evaluation)]

    def _node(self, cell: Cell, live: LiveStage, parent: str | None, values: dict[str, Value]) -> Node:
        parts = self.parts.get((id(live.stage), id(live.sets)))
        if parts is None:
            check_stage(self.spec, live, self.tests)
            methods = sorted({labelled.labels for labelled in live.sets})
            sets = tuple(_sized(self.spec, labelled) for labelled in live.sets)
            parts = self.parts[id(live.stage), id(live.sets)] = _Parts(sets, _recipe(self.spec, live, methods), methods)
        if parent is not None:
            check_heads(self.spec, live, parts.methods, self.nodes[parent].training.methods)
        training = Training(
            data=self.data(cell.split_seed, parts.methods),
            model=cell.model,
            precision=self.spec.experiment.precision,
            seed=cell.seed,
            sets=parts.sets,
            recipe=parts.recipe,
            parent=parent,
        )
        return Node(training.key, live.name, training, parent, values)


class _Parts(NamedTuple):
    sets: tuple[LabelledSet, ...]
    recipe: Recipe
    methods: list[str]


class _DataOf:
    """The resolved data of each split seed and set of methods, each made once."""

    def __init__(self, spec: Spec, needs: dict[SubsetName, tuple[str, ...]], digest: str) -> None:
        self.data = spec.experiment.data
        self.needs = needs
        self.digest = digest
        self.made: dict[tuple[int, frozenset[str]], ResolvedData] = {}

    def __call__(self, split_seed: int, methods: Iterable[str]) -> ResolvedData:
        # A method that neither the partition nor this training refers to must not matter to it.
        used = frozenset(methods).union(*self.needs.values())
        if (split_seed, used) not in self.made:
            subsets = {name: subset.but(needs=self.needs[name]) for name, subset in self.data.splits.subsets().items()}
            self.made[split_seed, used] = ResolvedData(
                digest=self.digest,
                labels={method: keys for method, keys in self.data.labels.items() if method in used},
                splits=Splits(seed=split_seed, **subsets),
                offsets=self.data.offsets,
            )
        return self.made[split_seed, used]


def _sized(spec: Spec, labelled: LabelledSet) -> LabelledSet:
    """Return the set with `all` written as the number it is where the subset's size is one: equal sets, equal keys."""
    size = getattr(spec.experiment.data.splits, labelled.subset).size
    if labelled.size != "all" or size == "rest":
        return labelled
    return labelled.but(size=size)


def _recipe(spec: Spec, live: LiveStage, methods: list[str]) -> Recipe:
    """Return the recipe with what is left to default written out, and nothing that this stage does not use."""
    recipe = live.stage.recipe()
    weights = {method: recipe.loss.get(method) or _default_weights(spec, method) for method in methods}
    select_on = recipe.select_on or "validation.loss"
    if len(methods) == 1 and select_on.count(".") == 1:
        select_on = metric_path("validation", methods[0], select_on.partition(".")[2])
    return recipe.but(loss=weights, select_on=select_on)


def _default_weights(spec: Spec, method: str) -> LossWeights:
    has_forces = spec.experiment.data.labels[method].forces is not None
    return LossWeights(energy=1, forces=1) if has_forces else LossWeights(energy=100, forces=0)


def smoke_graph(graph: Graph, steps: int = 20) -> Graph:
    """Return one chain of each kind of stage with a few steps: what a spec would train, tried out.

    A kind is a stage name with or without a parent, on its label methods and subsets, of one model.
    """
    kinds: dict[tuple[object, ...], Node] = {}
    for node in graph.nodes.values():
        sets = tuple((labelled.labels, labelled.subset) for labelled in node.training.sets)
        kind = (node.name, node.parent is None, sets, node.training.model.key)
        if kind not in kinds or len(node.evaluations) > len(kinds[kind].evaluations):
            kinds[kind] = node
    needed = {above.key for node in kinds.values() for above in graph.lineage(node.key)}
    renamed: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for key, node in graph.nodes.items():
        if key in needed:
            recipe = node.training.recipe.but(max_steps=steps, validate_every=steps)
            parent = renamed[node.parent] if node.parent else None
            training = node.training.but(recipe=recipe, parent=parent)
            renamed[key] = training.key
            nodes[training.key] = Node(training.key, node.name, training, parent, node.values, node.evaluations, 1)
    return Graph(nodes, [])
