"""`curve`: error against an axis of numbers (alpha, a share of labels), a line for each metric and value of `lines`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from mfsweep.analysis import style
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.figures import metric_label
from mfsweep.analysis.kinds.caption import BARS, HOLLOW, caption, unbalanced
from mfsweep.analysis.palette import INK, Series
from mfsweep.analysis.plotting import PlotAxes
from mfsweep.analysis.selection import (
    MeasuredCell,
    Spread,
    Values,
    averaged,
    grouped,
    label,
    matches,
    measure,
    select,
    spread,
    title,
)
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.analysis.table import AxisValue
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord
from mfsweep.spec.figures import Curve

LINES = ("-", (0, (4, 1, 1, 1)), (0, (1, 1)))
"""Dashes of the first metric, the second, ...; plain dashes are the reference's."""
DASHED = (0, (5, 2))


class CurveLine(NamedTuple):
    """One line of the figure."""

    metric: int
    """Index into the figure's `y`."""
    path: MetricPath
    """With its label method."""
    values: Values
    """Values of the `lines` axes."""
    knots: tuple[tuple[float, Spread], ...]
    """x and error, by growing x."""
    reference: Spread | None
    """Error of the cells that the figure names as reference."""


def curve(name: str, wanted: Curve, study: ReportStudy, analysis: Analysis) -> Picture:
    """Draw errors against an axis.

    Raises:
        FitError: no finished cell has one of the metrics at a number of the axis.
    """
    own = [cell for cell in select(study.cells, wanted.where) if not _is_reference(cell, wanted)]
    own = [cell for cell in own if is_number(x := cell.values.get(wanted.x)) and (x > 0 or not wanted.log)]
    beside = _reference_cells(study, wanted)
    found = [measure(analysis.records, own, path) for path in wanted.y]
    references = [measure(analysis.records, beside, path) for path in wanted.y]
    if not any(found):
        raise FitError(f"none of {len(own)} cells has {' or '.join(wanted.y)} yet")
    lines = list(_lines(wanted, found, references))
    with style.styled():
        figure, axes = style.canvas(scales="log-log" if wanted.log else "linear-log")
        names = _names(lines)
        looks = [study.palette.look(_named(line, wanted, study)) for line in lines]
        knots = [knot for line in lines for _, knot in line.knots]
        spread, every = max(knot.replicates for knot in knots), [x for line in lines for x, _ in line.knots]
        for place, (line, text, look) in enumerate(zip(lines, names, looks, strict=True)):
            moved = style.aside(place, len(lines), every, log=wanted.log) if spread > 1 else float
            _draw(axes, line, text, look, moved)
        _draw_references(axes, lines, looks, names, _reference_name(wanted))
        units = {line.path.quantity.unit for line in lines}
        same = {metric_label(line.path, line.path.method) for line in lines}
        shown = same.pop() if len(same) == 1 else " and ".join({line.path.quantity.label for line in lines})
        axes.set(xlabel=title([wanted.x]), ylabel=f"{shown} ({', '.join(sorted(units))})")
        if wanted.log:
            style.error_ticks(axes.xaxis, [x for line in lines for x, _ in line.knots])
        style.error_ticks(axes.yaxis, list(_levels(lines)))
        capped = any(knot.capped for knot in knots)
        style.legend(figure, axes, hollow=capped, spread=spread, title=title(wanted.lines) or None)
    over = averaged([one for members in found for one in members], [wanted.x, *wanted.lines])
    shown = [knot for line in lines for knot in _spreads(line)]
    said = f"Geometric mean over {over}; {BARS}."
    marks = unbalanced(shown), _of_reference(wanted, lines), HOLLOW if capped else ""
    return Picture(name, caption(wanted.title, said, *marks), figure)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether an axis value can stand on an axis of a figure."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_reference(cell: CellRecord, wanted: Curve) -> bool:
    return bool(wanted.reference) and matches(cell.values, wanted.reference or {})


def _lines(
    wanted: Curve, found: Sequence[Sequence[MeasuredCell]], references: Sequence[Sequence[MeasuredCell]]
) -> Iterator[CurveLine]:
    # An axis that the reference itself names, or lacks, does not tell its cells apart.
    named = wanted.reference or {}
    for metric, (path, members) in enumerate(zip(wanted.y, found, strict=True)):
        for values, of_line in grouped(members, wanted.lines).items():
            where = {axis: value for axis, value in zip(wanted.lines, values, strict=True) if axis not in named}
            alike = [one for one in references[metric] if _agrees(one.cell, where)]
            knots = tuple(
                (float(x), spread(own))  # pyright: ignore[reportArgumentType] (cells without a number are left out)
                for (x,), own in grouped(of_line, [wanted.x]).items()
            )
            full = MetricPath.parse(path)._replace(method=of_line[0].method)
            yield CurveLine(metric, full, values, knots, spread(alike) if alike else None)


def _reference_cells(study: ReportStudy, wanted: Curve) -> list[CellRecord]:
    """Return the cells of the reference; `where` holds for the axes that they have and the reference does not name."""
    if not wanted.reference:
        return []
    others = {axis: value for axis, value in wanted.where.items() if axis not in wanted.reference}
    return [
        cell
        for cell in select(study.cells, wanted.reference)
        if matches(cell.values, {axis: value for axis, value in others.items() if axis in cell.values})
    ]


def _agrees(cell: CellRecord, where: Mapping[str, object]) -> bool:
    return all(cell.values.get(axis, value) == value for axis, value in where.items())


def _named(line: CurveLine, wanted: Curve, study: ReportStudy) -> dict[str, AxisValue]:
    """Return what names a line: its axes' values; of several metrics, or without axes, the metric's method too."""
    own = dict(zip(wanted.lines, line.values, strict=True))
    if study.methods.isdisjoint(map(str, own.values())) and (len(wanted.y) > 1 or not own):
        return {"": (line.path.method or "").split("@")[0], **own}
    return own


def _names(lines: Sequence[CurveLine]) -> list[str]:
    several = len({line.path for line in lines}) > 1
    made: list[str] = []
    for line in lines:
        metric = metric_label(line.path, line.path.method)
        values = label(line.values)
        made.append(f"{values}: {metric}" if values and several else values or metric)
    return made


def _draw(axes: PlotAxes, line: CurveLine, text: str, look: Series, place: Callable[[float], float]) -> None:
    style_of = LINES[line.metric % len(LINES)]
    where = [place(x) for x, _ in line.knots]
    axes.plot(where, [knot.value for _, knot in line.knots], color=look.colour, linestyle=style_of)
    for x, (_, knot) in zip(where, line.knots, strict=True):
        axes.plot([x, x], [knot.low, knot.high], color=look.colour, linewidth=0.8, marker="_", markersize=3)
        face = "white" if knot.capped else look.colour
        axes.plot(x, knot.value, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
    axes.plot([], [], color=look.colour, linestyle=style_of, marker=look.marker, label=text)


def _draw_references(
    axes: PlotAxes, lines: Sequence[CurveLine], looks: Sequence[Series], names: Sequence[str], reference: str
) -> None:
    """Draw the references dashed, in black where all lines share one."""
    values = list(dict.fromkeys(line.reference.value for line in lines if line.reference))
    if len(values) == 1:
        axes.axhline(values[0], color=INK, linewidth=0.8, linestyle=DASHED, label=reference, zorder=1)
        return
    for line, look, text in zip(lines, looks, names, strict=True):
        if line.reference:
            of = f"{text}, {reference}"
            axes.axhline(line.reference.value, color=look.colour, linewidth=0.8, linestyle=DASHED, label=of, zorder=1)


def _reference_name(wanted: Curve) -> str:
    """Return the reference's values, numbers with their axis."""
    named: list[str] = []
    for axis, value in (wanted.reference or {}).items():
        values = value if isinstance(value, tuple) else (value,)
        named.append(
            label(values) if all(isinstance(one, str) for one in values) else f"{title([axis])} {label(values)}"
        )
    return ", ".join(named)


def _of_reference(wanted: Curve, lines: Sequence[CurveLine]) -> str:
    if not any(line.reference for line in lines):
        return ""
    capped = " (not converged)" if any(line.reference and line.reference.capped for line in lines) else ""
    return f"Dashed: {_reference_name(wanted)}{capped}."


def _spreads(line: CurveLine) -> list[Spread]:
    return [*(knot for _, knot in line.knots), *([line.reference] if line.reference else [])]


def _levels(lines: Sequence[CurveLine]) -> Iterator[float]:
    for line in lines:
        for knot in _spreads(line):
            yield from (knot.low, knot.high)
