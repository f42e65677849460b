"""Spec -> cells, each with its stages filled in: `${axis}` replaced, empty sets gone, `continued` applied.

A template is filled in and validated once for each combination of the axes to which it refers, not once a cell: that
is what lets a grid of ten thousand cells be planned in about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from mfsweep.errors import SpecError, nearest
from mfsweep.models.registry import ARCHITECTURES, Model
from mfsweep.plan.grid import check_grid
from mfsweep.plan.mixture import Mixture, mixture
from mfsweep.spec import axes
from mfsweep.spec.axes import PlaceError, Value
from mfsweep.spec.gathered import Gathered, gathering
from mfsweep.spec.load import FieldPath, Spec, dotted
from mfsweep.spec.resources import OwnResources, Resources
from mfsweep.spec.stage import FILE, Evaluation, Stage
from mfsweep.spec.templates import CONTINUED_NEVER
from mfsweep.spec.tree import below

_T = TypeVar("_T")


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
    resources: Resources
    """What it is given."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid."""

    values: dict[str, Value]
    """Axis -> label."""
    model: Model
    seed: int
    split_seed: int
    fold: int | None
    """The fold of the partition that is the test subset's."""
    stages: dict[str, LiveStage]
    """The stages that the result needs, parents first."""
    result: str
    evaluations: tuple[Evaluation, ...]
    """The evaluations of the result."""
    model_axes: frozenset[str]
    """The axes on which the model depends."""


def expand(spec: Spec, found: Gathered | None = None) -> list[Cell]:
    """Return the cells of a spec in the order of its axes.

    Args:
        spec: the spec.
        found: takes the errors; the cells that have none are returned. Default: they are raised.

    Raises:
        SpecError: templates that cannot be filled in, or do not say what a stage says, with the cell they fail for.
    """
    with gathering(found) as own:
        return list(_Expander(spec, own).cells())


class _Expander:
    def __init__(self, spec: Spec, found: Gathered) -> None:
        self.spec = spec
        self.found = found
        self.experiment = spec.experiment
        self.templates: dict[str, tuple[frozenset[str], list[str], dict[tuple[Any, ...], Any]]] = {}
        """Name of a template -> the axes it refers to, the same sorted, and what was made of it for their values."""
        self.plain = {
            name: {key: item for key, item in template.items() if key != "continued"}
            for name, template in self.experiment.stages.items()
        }
        self.axes = {name: _identifying(template) for name, template in self.plain.items()}
        """Stage -> the axes that make further ones of it."""
        self.continued_axes = {name: _identifying(template) for name, template in self.experiment.stages.items()}
        """The same, where it has a parent."""
        check_grid(spec, found)

    def cells(self) -> Iterator[Cell]:
        """Yield the cells that can be filled in."""
        resolved: dict[str, dict[Value, Any]] = {}
        for block in self.spec.blocks:
            for axis, labels in block.items():
                resolved.setdefault(axis, {}).update(labels)
        for labels in axes.cells(self.spec.blocks):
            cell = self._cell(labels, {axis: resolved[axis][label] for axis, label in labels.items()})
            if cell is not None:
                yield cell

    def _cell(self, labels: dict[str, Value], values: dict[str, Any]) -> Cell | None:
        experiment = self.experiment
        stages: dict[str, LiveStage] = {}
        result = model = evaluations = None
        with self.found.errors():
            result = self._filled("result", experiment.result, ("result",), labels, values, self._stage_name)
        is_whole = result is not None
        if result is not None:
            is_whole = False
            with self.found.errors():
                self._live(result, labels, values, stages, ())
                is_whole = True
                if result not in stages:
                    expected = f"a stage with training structures, which it has not for {labels}"
                    raise self._error(("result",), result, expected)
        with self.found.errors():
            model = self._filled("model", experiment.model, ("model",), labels, values, self._model)
        with self.found.errors():
            evaluations = self._filled(
                "evaluate", experiment.evaluate, ("evaluate",), labels, values, self._evaluations
            )
        if not is_whole or result not in stages or model is None or evaluations is None:
            return None
        return Cell(
            values=labels,
            model=model,
            seed=labels.get("seed", experiment.seed),  # pyright: ignore[reportArgumentType] (axes checks seeds)
            split_seed=labels.get("split_seed", experiment.data.splits.seed),  # pyright: ignore[reportArgumentType]
            fold=labels.get("fold", experiment.data.splits.fold),  # pyright: ignore[reportArgumentType]
            stages=stages,
            result=result,
            evaluations=evaluations,
            model_axes=self.templates["model"][0],
        )

    def _live(
        self, name: str, labels: dict[str, Value], values: dict[str, Any], live: dict[str, LiveStage], below: FieldPath
    ) -> None:
        """Put the stage and what it starts from into `live`, parents first, unless it vanishes."""
        place = ("stages", name)
        if name in below:
            raise self._error(place, " -> ".join(map(str, (*below, name))), "stages that do not start from themselves")
        template, plain = self.experiment.stages[name], self.plain[name]
        try:
            fresh, own, resources = self._filled(
                f"stage {name}", plain, place, labels, values, lambda t: self._fresh(t, place)
            )
        except SpecError:
            # What it starts from is looked at all the same: all errors are told at once.
            above = template.get("start_from")
            if above in self.experiment.stages and above not in (name, *below):
                with self.found.errors():
                    self._live(above, labels, values, live, (*below, name))
            raise
        depends = self.axes[name]
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
                depends = self.continued_axes[name]
                stage = continued
        if parent:
            depends |= live[parent].axes
        live[name] = LiveStage(name, stage, own, parent, file, depends, resources)

    def _filled(
        self,
        name: str,
        template: Any,
        place: FieldPath,
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
            made[key] = self._made(template, place, labels, values, names, build)
        if isinstance(made[key], SpecError):
            raise made[key]
        return made[key]

    def _made(
        self,
        template: Any,
        place: FieldPath,
        labels: dict[str, Value],
        values: dict[str, Any],
        names: frozenset[str],
        build: Callable[[Any], _T],
    ) -> _T | SpecError:
        """Return `build` of the filled-in template, or what is wrong with it."""
        try:
            return build(axes.fill(template, values, place))
        except PlaceError as error:
            return self._error(error.place, error.got, error.expected)
        except SpecError as error:
            where = {axis: labels[axis] for axis in sorted(names & labels.keys())}
            found = Gathered()
            for one in error.several or (error,):
                assert isinstance(one, SpecError)
                note = f" (in the cell with {where})" if where else ""
                found.add(self._at_axis(one, template, place, labels) or SpecError(str(one), one.line, note))
            together = found.together()
            assert isinstance(together, SpecError)
            return together

    def _at_axis(self, error: SpecError, template: Any, place: FieldPath, labels: dict[str, Value]) -> SpecError | None:
        """Return an error at the axis's value that is wrong, where a template refers to one at the error's place."""
        steps = (error.place or ())[len(place) :]
        for depth in range(len(steps) + 1):
            if named := axes.referred(template):
                axis, field = named
                where = self._axis_place(axis, labels[axis])
                if where is None:
                    return None
                inner = (*where, *([field] if field else []), *steps[depth:])
                return self._error(
                    inner, error.got, f"{error.expected}, as {dotted((*place, *steps[:depth]))} takes it"
                )
            if depth == len(steps):
                break
            template = below(template, steps[depth])
        return None

    def _axis_place(self, axis: str, label: Value) -> FieldPath | None:
        """Return where an axis's value stands; None of a search's."""
        written = self.experiment.axes
        for index, block in enumerate(written if isinstance(written, list) else [written]):
            values = block.get(axis)
            above = ("axes", index, axis) if isinstance(written, list) else ("axes", axis)
            if isinstance(values, dict) and label in values and isinstance(label, str):
                return (*above, label)
            if isinstance(values, list) and label in values:
                return (*above, cast("list[Any]", values).index(label))
        return None

    def _stage_name(self, name: Any) -> str:
        self._known_stage(name, ("result",))
        return name

    def _model(self, tree: Any) -> Model:
        if isinstance(tree, dict) and "architecture" not in tree:
            raise self._error(("model",), tree, f"an `architecture`: {' or '.join(ARCHITECTURES)}")
        return self.spec.document.build(Model, tree, ("model",))

    def _evaluations(self, trees: list[Any]) -> tuple[Evaluation, ...]:
        return self.spec.document.build(tuple[Evaluation, ...], trees, ("evaluate",))

    def _fresh(self, tree: dict[str, Any], place: FieldPath) -> tuple[Stage, Mixture, Resources]:
        stage = self._stage(tree, place)
        return stage, mixture(self.spec, stage, place), self._resources(stage.resources, (*place, "resources"))

    def _resources(self, own: OwnResources, place: FieldPath) -> Resources:
        common = self.experiment.resources
        whole = own.over(common, self.spec.forced)
        return self.spec.document.build(Resources, whole, place) if own.identity() else common

    def _stage(self, tree: dict[str, Any], place: FieldPath) -> Stage:
        return self.spec.document.build(Stage, tree, place)

    def _continued(self, tree: dict[str, Any], place: FieldPath) -> Stage:
        continued = tree["continued"]
        if not isinstance(continued, dict):
            raise self._error((*place, "continued"), continued, "a mapping of the fields to override")
        over = cast("dict[str, Any]", continued)
        fresh = {key: item for key, item in tree.items() if key != "continued"}
        overrides = {key: item for key, item in fresh.items() if key in CONTINUED_NEVER} | over
        self.spec.document.build(Stage, overrides, (*place, "continued"))
        return self._stage(_merged(fresh, over), place)

    def _known_stage(self, name: Any, place: FieldPath) -> None:
        known = self.experiment.stages
        if not isinstance(name, str) or name not in known:
            raise self._error(place, name, f"a stage: {', '.join(known)}.{nearest(str(name), known)}")

    def _error(self, place: FieldPath, got: Any, expected: str) -> SpecError:
        return self.spec.document.error(place, got, expected)


def _identifying(template: dict[str, Any]) -> frozenset[str]:
    """Return the axes to which a stage refers, but for its `resources`."""
    return axes.references({key: item for key, item in template.items() if key != "resources"})


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, mappings merged key by key."""
    merged = dict(base)
    for key, item in over.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(item, dict):
            merged[key] = _merged(cast("dict[str, Any]", under), cast("dict[str, Any]", item))
        else:
            merged[key] = item
    return merged
