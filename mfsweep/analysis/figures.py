"""The two figures of a transfer study: error against fine-tune size, and the transfer law.

Hollow markers have not converged (README rule 10). How they look is in style.py.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mfsweep.analysis import style
from mfsweep.analysis.curves import Curve
from mfsweep.analysis.law import Law
from mfsweep.analysis.style import Series
from mfsweep.analysis.table import Points
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
    curves: Sequence[Curve],
    y: MetricPath,
    target: str,
    offsets_only: float | None = None,
    known: Collection[str] = (),
) -> Figure:
    """Return error against fine-tune size: direct training in black, one line a pre-training, bars over replicates.

    Arguments:
        curves: from `curves.curves`.
        y: the metric drawn.
        target: its label method.
        offsets_only: the null model's error, in the metric's unit.
        known: the label methods of the whole study, as of `style.series`.
    """
    with mpl.rc_context(style.STYLE):
        figure, axes = style.canvas()
        auxiliary = [curve for curve in curves if not curve.direct]
        looks = iter(style.series([" + ".join(curve.auxiliary) for curve in auxiliary], known))
        for curve in curves:
            _draw_curve(axes, curve, Series(style.INK, "o") if curve.direct else next(looks))
        if offsets_only is not None:
            axes.axhline(offsets_only, color=style.MUTED, linestyle=":", label="offsets only")
        axes.set(xlabel=f"{target} training structures", ylabel=path_label(y, y.method or target))
        knots = [knot for curve in curves for knot in curve.knots]
        style.size_ticks(axes, sorted({knot.size for knot in knots}))
        levels = [value for knot in knots for value in (knot.low, knot.high)] + [offsets_only or np.nan]
        style.error_ticks(axes.yaxis, levels)
        style.legend(figure, axes, hollow=any(knot.capped for knot in knots))
        return figure


def law_figure(law: Law, residuals: Sequence[Residual] = (), known: Collection[str] = ()) -> Figure:
    """Return the transfer law: points, a line a group with its 95 % band, y = x, and the residuals of its methods.

    A refused law is drawn as its points alone. y = x is drawn where x and y have one unit.
    """
    points = law.points
    x, y = MetricPath.parse(points.x), MetricPath.parse(points.y)
    with mpl.rc_context(style.STYLE):
        figure, axes = style.canvas()
        methods = [(_only(points, "x_method", group) or "").partition("@")[0] for group in points.labels]
        for group, look in zip(points.labels, style.series(methods, known), strict=True):
            _draw_group(axes, law, group, look)
        shown = [one for one in residuals if one.method in methods and y.quantity is Quantity.ENERGY_MAE]
        colours = style.hues({*methods, *known})
        for index, one in enumerate(shown):
            dashes = style.DASHES[index % len(style.DASHES)]
            axes.axhline(one.value, color=colours[one.method], linewidth=0.8, linestyle=dashes, label=one.label)
        axes.set(xlabel=path_label(x, _only(points, "x_method")), ylabel=path_label(y, _only(points, "y_method")))
        _frame(axes, points, [one.value for one in shown], diagonal=x.quantity.unit == y.quantity.unit)
        if law.pooled:
            said = f"pooled gradient {law.pooled.gradient:.2f} [{law.pooled.interval}]: {law.pooled.verdict}"
            axes.set_title(said, loc="left")
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


def save(figure: Figure, folder: Path, stem: str, text: str | None = None) -> tuple[Path, Path]:
    """Write `<stem>.svg` (as `text`, where it is at hand) and `<stem>.png` (300 dpi), and return their paths."""
    vector, raster = folder / f"{stem}.svg", folder / f"{stem}.png"
    write_text(vector, svg(figure) if text is None else text)
    write_file(raster, lambda path: figure.savefig(path, dpi=300, facecolor="white"))
    return vector, raster


def svg(figure: Figure) -> str:
    """Return the figure as SVG text, the same for the same figure."""
    text = io.StringIO()
    with mpl.rc_context(style.STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return text.getvalue()


def _draw_curve(axes: Axes, curve: Curve, look: Series) -> None:
    sizes = [knot.size for knot in curve.knots]
    axes.plot(sizes, [knot.error for knot in curve.knots], color=look.colour)
    for knot in curve.knots:
        axes.plot([knot.size] * 2, [knot.low, knot.high], color=look.colour, linewidth=0.7, marker="_", markersize=3)
        face = "white" if knot.capped else look.colour
        axes.plot(knot.size, knot.error, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
    axes.plot([], [], color=look.colour, marker=look.marker, label=curve.label)


def _draw_group(axes: Axes, law: Law, group: tuple[Any, ...], look: Series) -> None:
    members = [point for point in law.points if point.group == group]
    for point in members:
        face = look.colour if point.converged else "none"
        axes.plot(point.x, point.y, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
    name = ", ".join("-" if group[index] is None else str(group[index]) for index in _telling(law.points)) or "points"
    line = next((one for one in law.lines if one.group == law.points.labels[group]), None)
    if line is None:
        axes.plot([], [], look.marker, color=look.colour, label=f"{name}: no line")
        return
    ends = np.array([min(point.x for point in members), max(point.x for point in members)])
    axes.plot(ends, line.prefactor * ends**line.gradient, color=look.colour)
    if line.band:
        axes.fill_between(line.band.x, line.band.low, line.band.high, color=look.colour, alpha=0.15, linewidth=0)
    axes.plot([], [], color=look.colour, marker=look.marker, label=f"{name}: m = {line.gradient:.2f}")


def _frame(axes: Axes, points: Points, levels: list[float], *, diagonal: bool) -> None:
    """Set limits that hold the points, the levels and a stretch of y = x."""
    if not len(points):
        return
    xs, ys = [point.x for point in points], [point.y for point in points] + levels
    left, right = min(xs) / 1.15, max(xs) * 1.15
    bottom, top = min(ys) / 1.2, max(ys) * 1.2
    if diagonal:
        bottom, top = min(bottom, right / 1.6), max(top, left * 1.6)
        axes.plot([left, right], [left, right], color=style.INK, linewidth=0.7, linestyle="-.", label="y = x", zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    style.error_ticks(axes.xaxis, [left, right])
    style.error_ticks(axes.yaxis, [bottom, top])


def _telling(points: Points) -> list[int]:
    """Return the places of the `group_by` axes whose values differ among groups."""
    return [place for place in range(len(points.group_by)) if len({group[place] for group in points.labels}) > 1]


def _only(points: Points, name: str, group: tuple[Any, ...] | None = None) -> str | None:
    """Return the one method of all points (of a group), or None."""
    methods = {getattr(point, name) for point in points if group in (None, point.group)}
    return methods.pop() if len(methods) == 1 else None
