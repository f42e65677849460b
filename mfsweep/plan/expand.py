"""Spec -> cells, each with its stages filled in: `${axis}` replaced, empty sets gone, `continued` applied.

A template is filled in and validated once for each combination of the axes to which it refers, not once a cell: that
is what lets a grid of ten thousand cells be planned in about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mfsweep.errors import SpecError, nearest
from mfsweep.plan.mixture import Mixture, mixture
from mfsweep.spec import axes
from mfsweep.spec.axes import SEEDS, PlaceError, Value
from mfsweep.spec.load import Place, Spec
from mfsweep.spec.model import Architecture, Model
from mfsweep.spec.stage import FILE, Evaluation, Stage

_T = TypeVar("_T")

_CONTINUED_NEVER = ("start_from", "train", "continued", "evaluate")


@dataclass(frozen=True, slots=True)
class LiveStage:
    """A stage of a cell that did not vanish."""

    name: str
    stage: Stage
    """Its recipe is the one that holds here: `continued` applied when it has a parent."""
    mixture: Mixture
    """Its labelled sets that are not empty."""
    parent: str | None
    """Name of the live stage it starts from."""
    file: str | None
    """Path of the model file that it starts from in place of one, as the spec writes it."""
    axes: frozenset[str]
    """The axes on which it or its ancestors depend."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid."""

    values: dict[str, Value]
    """Axis -> label."""
    model: Architecture
    seed: int
    split_seed: int
    stages: dict[str, LiveStage]
    """The stages that the result needs, parents first."""
    result: str
    evaluations: tuple[Evaluation, ...]
    """Of the result."""
    model_axes: frozenset[str]
    """The axes on which the model depends."""


def expand(spec: Spec) -> list[Cell]:
    """Return the cells of a spec in the order of its axes.

    Raises:
        SpecError: a template that cannot be filled in, or does not say what a stage says, with the cell it fails for.
    """
    return list(_Expander(spec).cells())


class _Expander:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.experiment = spec.experiment
        self.templates: dict[str, tuple[frozenset[str], list[str], dict[tuple[Any, ...], Any]]] = {}
        """Name of a template -> the axes it refers to, the same sorted, and what was made of it for their values."""
        self.plain = {
            name: {key: item for key, item in template.items() if key != "continued"}
            for name, template in self.experiment.stages.items()
        }
        self._refuse_bad_graph()
        self._refuse_unused_axes()

    def cells(self) -> Iterator[Cell]:
        resolved = {}
        for block in self.spec.blocks:
            for axis, labels in block.items():
                resolved.setdefault(axis, {}).update(labels)
        for labels in axes.cells(self.spec.blocks):
            yield self._cell(labels, {axis: resolved[axis][label] for axis, label in labels.items()})

    def _cell(self, labels: dict[str, Value], values: dict[str, Any]) -> Cell:
        experiment = self.experiment
        stages: dict[str, LiveStage] = {}
        result = self._filled("result", experiment.result, ("result",), labels, values, self._stage_name)
        self._live(result, labels, values, stages, ())
        if result not in stages:
            raise self._error(("result",), result, f"a stage with training structures, which it has not for {labels}")
        model = self._filled("model", experiment.model, ("model",), labels, values, self._model)
        evaluations = self._filled("evaluate", experiment.evaluate, ("evaluate",), labels, values, self._evaluations)
        return Cell(
            values=labels,
            model=model,
            seed=labels.get("seed", experiment.seed),  # pyright: ignore[reportArgumentType] (axes checks seeds)
            split_seed=labels.get("split_seed", experiment.data.splits.seed),  # pyright: ignore[reportArgumentType]
            stages=stages,
            result=result,
            evaluations=evaluations,
            model_axes=self.templates["model"][0],
        )

    def _live(
        self, name: str, labels: dict[str, Value], values: dict[str, Any], live: dict[str, LiveStage], below: Place
    ) -> None:
        """Put the stage and what it starts from into `live`, parents first, unless it vanishes."""
        place = ("stages", name)
        if name in below:
            raise self._error(place, " -> ".join(map(str, (*below, name))), "stages that do not start from themselves")
        template, plain = self.experiment.stages[name], self.plain[name]
        fresh, own = self._filled(f"stage {name}", plain, place, labels, values, lambda t: self._fresh(t, place))
        depends = self.templates[f"stage {name}"][0]
        if not own.sets:
            return
        above, file = fresh.start_from, None
        if above is not None and above.startswith(FILE):
            above, file = None, above.removeprefix(FILE)
        elif above is not None:
            self._known_stage(above, (*place, "start_from"))
            self._live(above, labels, values, live, (*below, name))
        parent = above if above in live else None
        stage = fresh
        # An error in `continued:` is one even in a cell without a parent.
        if "continued" in template:
            continued = self._filled(
                f"continued {name}", template, place, labels, values, lambda t: self._continued(t, place)
            )
            if parent or file:
                depends |= self.templates[f"continued {name}"][0]
                stage = continued
        if parent:
            depends |= live[parent].axes
        live[name] = LiveStage(name, stage, own, parent, file, depends)

    def _filled(
        self,
        name: str,
        template: Any,
        place: Place,
        labels: dict[str, Value],
        values: dict[str, Any],
        build: Callable[[Any], _T],
    ) -> _T:
        """Return `build` of the filled-in template, made once for each combination of the axes it refers to."""
        if name not in self.templates:
            names = axes.references(template)
            self.templates[name] = (names, sorted(names), {})
        names, ordered, made = self.templates[name]
        key = tuple([labels.get(axis, ...) for axis in ordered])
        if key not in made:
            try:
                filled = axes.fill(template, values, place)
            except PlaceError as error:
                raise self._error(error.place, error.got, error.expected) from None
            try:
                made[key] = build(filled)
            except SpecError as error:
                where = {axis: labels[axis] for axis in sorted(names & labels.keys())}
                raise SpecError(f"{error}" + (f" (in the cell with {where})" if where else "")) from None
        return made[key]

    def _stage_name(self, name: Any) -> str:
        self._known_stage(name, ("result",))
        return name

    def _model(self, tree: Any) -> Architecture:
        if isinstance(tree, dict) and "architecture" not in tree:
            raise self._error(("model",), tree, "an `architecture`: mace or allegro")
        return self.spec.document.build(Model, tree, ("model",))

    def _evaluations(self, trees: list[Any]) -> tuple[Evaluation, ...]:
        return self.spec.document.build(tuple[Evaluation, ...], trees, ("evaluate",))

    def _fresh(self, tree: dict[str, Any], place: Place) -> tuple[Stage, Mixture]:
        stage = self._stage(tree, place)
        return stage, mixture(self.spec, stage, place)

    def _stage(self, tree: dict[str, Any], place: Place) -> Stage:
        return self.spec.document.build(Stage, tree, place)

    def _continued(self, tree: dict[str, Any], place: Place) -> Stage:
        continued = tree["continued"]
        if not isinstance(continued, dict):
            raise self._error((*place, "continued"), continued, "a mapping of the fields to override")
        for key in continued:
            if key in _CONTINUED_NEVER:
                raise self._error(
                    (*place, "continued", key), key, "a field of the recipe: this one holds for both cases"
                )
        fresh = {key: item for key, item in tree.items() if key != "continued"}
        overrides = {key: item for key, item in fresh.items() if key in ("start_from", "train", "evaluate")} | continued
        self.spec.document.build(Stage, overrides, (*place, "continued"))
        return self._stage(_merged(fresh, continued), place)

    def _known_stage(self, name: Any, place: Place) -> None:
        known = self.experiment.stages
        if not isinstance(name, str) or name not in known:
            raise self._error(place, name, f"a stage: {', '.join(known)}.{nearest(str(name), known)}")

    def _refuse_bad_graph(self) -> None:
        for name in self.experiment.stages:
            if name == "result":
                raise self._error(
                    ("stages", name), name, "another name: `result` stands for the result in a fit's paths"
                )

    def _refuse_unused_axes(self) -> None:
        experiment = self.experiment
        used = axes.references(
            [experiment.model, dict(experiment.stages), experiment.result, experiment.evaluate]
        ) | frozenset(SEEDS)
        for index, block in enumerate([*self.spec.blocks, self.spec.searched]):
            for axis in block:
                if axis not in used:
                    place = ("axes", index, axis) if isinstance(experiment.axes, list) else ("axes", axis)
                    raise self._error(place, axis, f"an axis that ${{...}} refers to somewhere.{nearest(axis, used)}")

    def _error(self, place: Place, got: Any, expected: str) -> SpecError:
        return self.spec.document.error(place, got, expected)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, mappings merged key by key."""
    merged = dict(base)
    for key, item in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, item) if isinstance(below, dict) and isinstance(item, dict) else item
    return merged
