"""Every figure and claim names axes, values, fits and metrics that the sweep will have: found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mfsweep.errors import SpecError, nearest
from mfsweep.plan.graph import PlannedCell, StageGraph
from mfsweep.plan.metrics import check_path, measured_by
from mfsweep.spec.axes import SEEDS, Value
from mfsweep.spec.figures import Bars, Cells, Claim, Curve, Figure, Gradients, Grid, LawFigure, Pareto, Residuals, Table
from mfsweep.spec.gathered import Gathered, gathering
from mfsweep.spec.load import FieldPath, Spec


def check_figures(spec: Spec, graph: StageGraph, found: Gathered | None = None) -> None:
    """Refuse figures and claims that name what the sweep will not have, or compare nothing with nothing.

    Args:
        spec: the spec.
        graph: of all its cells.
        found: takes the errors. Default: they are raised.

    Raises:
        SpecError: with the places in the spec.
    """
    figures, claims = spec.experiment.figures, spec.experiment.claims
    if not figures and not claims:
        return
    checker = _Checker(spec, graph)
    with gathering(found) as own:
        for name, figure in figures.items():
            with own.errors():
                checker.figure(figure, ("figures", name))
        for name, claim in claims.items():
            with own.errors():
                checker.claim(claim, ("claims", name))


class _Used(NamedTuple):
    """What a figure names, by its fields."""

    axes: Mapping[str, Sequence[str]] = {}
    metrics: Mapping[str, Sequence[str]] = {}
    fits: Mapping[str, Sequence[str]] = {}
    methods: Mapping[str, Sequence[str]] = {}


class _Checker:
    def __init__(self, spec: Spec, graph: StageGraph) -> None:
        self.spec = spec
        self.graph = graph
        self.measured = measured_by(spec, graph)
        self.values: dict[str, dict[Value, None]] = {}
        """Axis -> the values that it takes."""
        for planned in graph.cells:
            for axis, value in planned.cell.values.items():
                self.values.setdefault(axis, {})[value] = None

    def figure(self, figure: Figure, place: FieldPath) -> None:
        """Check one figure."""
        cells = self._cells(figure.where, (*place, "where"))
        checks: dict[str, Callable[[str, FieldPath], object]] = {
            "axes": self._axis,
            "metrics": lambda path, at: check_path(
                self.spec, StageGraph(self.graph.nodes, cells), self.measured, at, path
            ),
            "fits": self._fit,
            "methods": self._method,
        }
        for kind, fields in _named(figure)._asdict().items():
            for field, names in fields.items():
                for name, at in _places(names, (*place, field), figure, field):
                    checks[kind](name, at)
        if isinstance(figure, Curve):
            self._curve(figure, place, cells)
        if isinstance(figure, Residuals) and figure.target in figure.methods:
            at = (*place, "methods", figure.methods.index(figure.target))
            raise self._error(at, figure.target, "another method than `target`, from which it differs by nothing")
        if isinstance(figure, Pareto):
            self._costs(figure, place, cells)

    def claim(self, claim: Claim, place: FieldPath) -> None:
        """Check one claim."""
        cells = self._cells(claim.where, (*place, "where"))
        if claim.gradient is not None:
            self._fit(claim.gradient, (*place, "gradient"))
            self._groups(claim, claim.gradient, place, cells)
            return
        assert claim.y is not None
        assert claim.against is not None
        check_path(self.spec, StageGraph(self.graph.nodes, cells), self.measured, (*place, "y"), claim.y)
        this = self._cells(claim.this, (*place, "this"), cells)
        against = self._cells(claim.against, (*place, "against"), cells)
        self._apart(claim, this, against, place)
        if claim.over is not None:
            self._cells({**claim.where, **claim.over}, (*place, "over"))
        if not _pairs(this, against, {*claim.this, *claim.against}):
            expected = "cells that agree with some of `this` in all axes but those of `this` and `against`"
            raise self._error((*place, "against"), claim.against, expected)

    def _cells(self, where: Cells, place: FieldPath, among: Sequence[PlannedCell] | None = None) -> list[PlannedCell]:
        """Return the cells that are meant."""
        for axis, wanted in where.items():
            self._axis(axis, (*place, axis))
            known = self.values[axis]
            # An axis that some cells lack is null there; a searched one takes values that are not known yet.
            for value in wanted if isinstance(wanted, tuple) else (wanted,):
                if value is not None and value not in known and axis not in self.spec.searched:
                    near = nearest(str(value), map(str, known))
                    raise self._error(
                        (*place, axis), value, f"a value of the axis: {', '.join(map(str, known))}.{near}"
                    )
        meant = [one for one in (self.graph.cells if among is None else among) if self._means(one, where)]
        if not meant and not self.spec.searched:
            raise self._error(place, dict(where), "values that some cell has together")
        return meant

    def _means(self, planned: PlannedCell, where: Cells) -> bool:
        return all(
            axis in self.spec.searched
            or planned.cell.values.get(axis) in (wanted if isinstance(wanted, tuple) else (wanted,))
            for axis, wanted in where.items()
        )

    def _curve(self, figure: Curve, place: FieldPath, cells: Sequence[PlannedCell]) -> None:
        reference = figure.reference
        if reference is not None:
            self._cells(reference, (*place, "reference"))
        own = [one for one in cells if reference is None or not self._means(one, reference)]
        found = dict.fromkeys(one.cell.values[figure.x] for one in own if figure.x in one.cell.values)
        if odd := [value for value in found if isinstance(value, bool) or not isinstance(value, int | float)]:
            raise self._error((*place, "x"), figure.x, f"an axis of numbers: it takes {odd[0]!r}")

    def _costs(self, figure: Pareto, place: FieldPath, cells: Sequence[PlannedCell]) -> None:
        for planned in cells:
            for key in planned.keys.values():
                training = self.graph.nodes[key].training
                derived = training.data.derived or {}
                for method in training.methods:
                    parts = derived[method].methods if method in derived else (method,)
                    for part in parts:
                        if part not in figure.costs:
                            got = ", ".join(figure.costs)
                            expected = f"a cost of {part} too: stage {self.graph.nodes[key].name} trains on it"
                            raise self._error((*place, "costs"), got, expected)

    def _apart(
        self, claim: Claim, this: Sequence[PlannedCell], against: Sequence[PlannedCell], place: FieldPath
    ) -> None:
        """Check that no cell is on both sides of a claim."""
        # The values of a searched axis are not known yet: `_cells` cannot tell sides apart that name one.
        told = not self.spec.searched.keys() & {*claim.this, *(claim.against or {})}
        if told and any(one is other for one in this for other in against):
            raise self._error((*place, "this"), claim.this, "cells that `against` does not mean too")

    def _groups(self, claim: Claim, fit: str, place: FieldPath, cells: Sequence[PlannedCell]) -> None:
        """Check that both sides of a claim on gradients name groups of its law, and not the same ones."""
        group_by = self.spec.experiment.fits[fit].group_by
        meant: dict[str, list[PlannedCell]] = {}
        for field, side in (("this", claim.this), ("against", claim.against or {})):
            for axis in side:
                self._known(axis, group_by, f"an axis of fits.{fit}.group_by", (*place, field, axis))
            meant[field] = self._cells(side, (*place, field), cells)
        if claim.against is not None:
            self._apart(claim, meant["this"], meant["against"], place)

    def _axis(self, axis: str, place: FieldPath) -> None:
        self._known(axis, self.values, "an axis", place)

    def _method(self, method: str, place: FieldPath) -> None:
        self._known(method, self.spec.experiment.data.labels, "a label method of data.labels", place)

    def _fit(self, fit: str, place: FieldPath) -> None:
        self._known(fit, self.spec.experiment.fits, "one of the spec's fits", place)

    def _known(self, name: str, known: Iterable[str], what: str, place: FieldPath) -> None:
        if name not in (known := list(known)):
            raise self._error(place, name, f"{what}: {', '.join(known) or 'there is none'}.{nearest(name, known)}")

    def _error(self, place: FieldPath, got: object, expected: str) -> SpecError:
        return self.spec.document.error(place, got, expected)


def _named(figure: Figure) -> _Used:  # noqa: PLR0911 (one answer a kind)
    match figure:
        case Grid():
            return _Used(metrics={"y": [figure.y]})
        case Curve():
            return _Used(axes={"x": [figure.x], "lines": figure.lines}, metrics={"y": figure.y})
        case Bars():
            return _Used(axes={"bars": figure.bars, "groups": figure.groups}, metrics={"y": [figure.y]})
        case LawFigure():
            return _Used(fits={"fit": [figure.fit]})
        case Pareto():
            return _Used(axes={"lines": figure.lines}, metrics={"y": [figure.y]}, methods={"costs": list(figure.costs)})
        case Residuals():
            return _Used(methods={"target": [figure.target], "methods": figure.methods})
        case Table():
            return _Used(axes={"rows": figure.rows}, metrics={"columns": figure.columns})
        case Gradients():
            return _Used(fits={"fits": figure.fits})


def _places(names: Sequence[str], place: FieldPath, figure: Figure, field: str) -> Iterator[tuple[str, FieldPath]]:
    """Yield each name with its own place: the field's, the item's of a list, the key's of a mapping."""
    value = getattr(figure, field)
    for index, name in enumerate(names):
        yield name, place if isinstance(value, str) else (*place, name if isinstance(value, dict) else index)


def _pairs(this: Sequence[PlannedCell], against: Sequence[PlannedCell], named: set[str]) -> bool:
    """Return whether some cell of each side agree in all axes that both sides have and neither names."""
    here, there = ({axis for one in side for axis in one.cell.values} for side in (this, against))
    axes = sorted((here & there) - named - set(SEEDS))
    places = [{tuple(one.cell.values.get(axis) for axis in axes) for one in side} for side in (this, against)]
    return bool(places[0] & places[1])
