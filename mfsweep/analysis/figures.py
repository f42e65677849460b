"""The two figures of a transfer study: error against fine-tune size, and the transfer law.

Hollow markers have not converged (docs/fairness.md#rule-10). How they look is in style.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mfsweep.analysis import style
from mfsweep.analysis.curves import SizeCurve, named
from mfsweep.analysis.law import MARGIN, Law
from mfsweep.analysis.palette import INK, MUTED, Palette, Series, of_names
from mfsweep.analysis.plotting import PlotAxes, PlotFigure
from mfsweep.analysis.style import HorizontalLine
from mfsweep.analysis.table import AxisValue, Points
from mfsweep.files import write_file, write_text
from mfsweep.quantities import BEST, RESULT, MetricPath, Quantity


@dataclass(frozen=True, slots=True)
class Residual:
    """Mean absolute difference of two methods after energy offsets: what a perfect auxiliary model leaves."""

    method: str
    target: str
    value: float
    """meV/atom, a mean over structures."""

    @property
    def label(self) -> str:
        """Return the text of the line in a figure."""
        return f"mean |{self.target} − {self.method}|: {self.value:.3g}"


def error_figure(
    curves: Sequence[SizeCurve],
    y: MetricPath,
    target: str,
    offsets_only: float | None = None,
    palette: Palette | None = None,
) -> PlotFigure:
    """Return error against fine-tune size: direct training in black, one line a pre-training, bars over replicates.

    Arguments:
        curves: from `curves.curves`.
        y: the metric drawn.
        target: its label method.
        offsets_only: the null model's error, in the metric's unit.
        palette: of the whole study. Default: of these curves.
    """
    names = named(curves)
    palette = palette or of_names(names, {method for curve in curves for method in curve.auxiliary})
    with style.styled():
        figure, axes = style.canvas()
        knots = [knot for curve in curves for knot in curve.knots]
        sizes = sorted({knot.size for knot in knots})
        spread = max((knot.replicates for knot in knots), default=1)
        for place, (curve, own) in enumerate(zip(curves, names, strict=True)):
            look = Series(INK, "o") if curve.direct else palette.look(own)
            _draw_curve(axes, curve, look, style.aside(place, len(curves), sizes, log=True) if spread > 1 else float)
        null = (
            []
            if offsets_only is None
            else [HorizontalLine(offsets_only, f"offsets only: {offsets_only:.3g}", MUTED, ":")]
        )
        style.size_ticks(axes, sizes)
        style.frame(axes, [value for knot in knots for value in (knot.low, knot.high)], null)
        axes.set(xlabel=f"{target} training structures", ylabel=path_label(y, y.method or target))
        style.legend(figure, axes, hollow=any(knot.capped for knot in knots), spread=spread)
        return figure


def law_figure(law: Law, residuals: Sequence[Residual] = (), palette: Palette | None = None) -> PlotFigure:
    """Return the transfer law: points, a line a group with its 95 % band, the pooled line, y = x, and the residuals.

    A refused law is drawn as its points alone. y = x is drawn where x and y have one unit and it crosses the panel.
    """
    points = law.points
    x, y = MetricPath.parse(points.x), MetricPath.parse(points.y)
    methods = {(only(points, "x_method", group) or "").partition("@")[0] for group in points.labels}
    names = [_named(points, group) for group in points.labels]
    palette = palette or of_names(names, {*methods} - {""})
    with style.styled():
        figure, axes = style.canvas()
        for group, own in zip(points.labels, names, strict=True):
            _draw_group(axes, law, group, _look(palette, own, methods))
        shown = [one for one in residuals if one.method in methods and y.quantity is Quantity.ENERGY_MAE]
        levels = [
            HorizontalLine(one.value, one.label, palette.method(one.method), style.DASHES[index % len(style.DASHES)])
            for index, one in enumerate(shown)
        ]
        axes.set(xlabel=path_label(x, only(points, "x_method")), ylabel=path_label(y, only(points, "y_method")))
        if len(points):
            _frame(axes, law, levels, diagonal=x.quantity.unit == y.quantity.unit)
        title = ", ".join(points.group_by[index].replace("_", " ") for index in _telling(points)) or None
        style.legend(figure, axes, hollow=any(not point.converged for point in points), title=title)
        return figure


def path_label(path: MetricPath, method: str | None) -> str:
    """Return an axis label with its unit, `pretrain: dft validation energy MAE (meV/atom)`."""
    stage = "" if path.stage == RESULT else f"{path.stage}: "
    return f"{stage}{metric_label(path, method)} ({path.quantity.unit})"


def metric_label(path: MetricPath, method: str | None) -> str:
    """Return what a metric measures, `dft validation energy MAE` or `cc test energy MAE on c, dft head`."""
    of, *said = (method or "").split("@")
    where = f" on {path.subset}" if path.subset else ""
    by = "".join(", best checkpoint" if one == BEST else f", {one} head" for one in said)
    return f"{of + ' ' if of else ''}{path.part} {path.quantity.label}{where}{by}"


def save(figure: PlotFigure, folder: Path, stem: str, text: str | None = None) -> tuple[Path, Path]:
    """Write `<stem>.svg` (as `text`, where it is at hand) and `<stem>.png` (300 dpi), and return their paths."""
    vector, raster = folder / f"{stem}.svg", folder / f"{stem}.png"
    write_text(vector, svg(figure) if text is None else text)
    write_file(raster, lambda path: figure.savefig(path, dpi=300, facecolor="white"))
    return vector, raster


def svg(figure: PlotFigure) -> str:
    """Return the figure as SVG text, the same for the same figure."""
    text = io.StringIO()
    with style.styled():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return text.getvalue()


def _draw_curve(axes: PlotAxes, curve: SizeCurve, look: Series, place: Callable[[float], float]) -> None:
    sizes = [place(knot.size) for knot in curve.knots]
    axes.plot(sizes, [knot.error for knot in curve.knots], color=look.colour, linestyle=look.dashes)
    for size, knot in zip(sizes, curve.knots, strict=True):
        axes.plot([size] * 2, [knot.low, knot.high], color=look.colour, linewidth=0.8, marker="_", markersize=3)
        face = "white" if knot.capped else look.colour
        axes.plot(size, knot.error, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
    axes.plot([], [], color=look.colour, linestyle=look.dashes, marker=look.marker, label=curve.label)


def _draw_group(axes: PlotAxes, law: Law, group: tuple[AxisValue, ...], look: Series) -> None:
    members = [point for point in law.points if point.group == group]
    for point in members:
        face = look.colour if point.converged else "white"
        axes.plot(point.x, point.y, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
    name = ", ".join("-" if group[index] is None else str(group[index]) for index in _telling(law.points)) or "points"
    line = next((one for one in law.lines if one.group == law.points.labels[group]), None)
    if line is None:
        axes.plot([], [], look.marker, color=look.colour, label=f"{name}: no line")
        return
    ends = np.array([min(point.x for point in members), max(point.x for point in members)])
    axes.plot(ends, line.prefactor * ends**line.gradient, color=look.colour)
    if line.band:
        whole = np.array([line.band.x[0], line.band.x[-1]])
        beyond = line.prefactor * whole**line.gradient
        axes.plot(whole, beyond, color=look.colour, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=1)
        axes.fill_between(line.band.x, line.band.low, line.band.high, color=look.colour, alpha=0.16, linewidth=0)
    axes.plot([], [], color=look.colour, marker=look.marker, label=f"{name}: m = {line.gradient:.2f}")


def _frame(axes: PlotAxes, law: Law, levels: Sequence[HorizontalLine], *, diagonal: bool) -> None:
    """Set the limits about the points, and draw what goes through the whole panel: levels, pooled line and y = x."""
    xs = [point.x for point in law.points]
    left, right = min(xs) / MARGIN, max(xs) * MARGIN
    style.frame(axes, [point.y for point in law.points], levels)
    ends = np.array([left, right])
    if law.pooled and len(law.lines) > 1:
        said = f"pooled: m = {law.pooled.gradient:.2f}"
        pooled = law.pooled.prefactor * ends**law.pooled.gradient
        axes.plot(ends, pooled, color=INK, linewidth=1.3, linestyle=(0, (6, 2)), label=said, zorder=2)
    bottom, top = axes.get_ylim()
    if diagonal and max(left, bottom) < min(right, top):
        axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle="-.", label="y = x", zorder=1)
    if law.pooled:
        verdict = f"gradient {law.pooled.gradient:.2f} [{law.pooled.interval}]: {law.pooled.verdict}"
        axes.set_title(f"pooled {verdict}", loc="left")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    style.error_ticks(axes.xaxis, [left, right])


def _look(palette: Palette, own: Mapping[str, AxisValue], methods: set[str]) -> Series:
    """Return the look of a group; of a law without groups that of the one method of its x."""
    if own:
        return palette.look(own)
    method = methods.copy().pop() if len(methods) == 1 else ""
    return palette.look({"": method} if method else {})


def _named(points: Points, group: tuple[AxisValue, ...]) -> dict[str, AxisValue]:
    return {points.group_by[place]: group[place] for place in _telling(points)}


def _telling(points: Points) -> list[int]:
    """Return the places of the `group_by` axes whose values differ among groups."""
    return [place for place in range(len(points.group_by)) if len({group[place] for group in points.labels}) > 1]


def only(points: Points, name: str, group: tuple[AxisValue, ...] | None = None) -> str | None:
    """Return the one method of all points (of a group), or None."""
    methods = {getattr(point, name) for point in points if group in (None, point.group)}
    return methods.pop() if len(methods) == 1 else None
