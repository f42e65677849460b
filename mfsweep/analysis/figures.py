"""The two figures of a transfer study: error against fine-tune size, and the transfer law.

Drawn for an 8 cm column, in vectors, in colours that survive colour blindness and grey print: a label method is one
hue, its sizes run from light to dark, and every series has a marker of its own. Hollow markers are stages that
max_steps stopped.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from mfsweep.analysis.curves import Curve
from mfsweep.analysis.law import Law
from mfsweep.analysis.table import RESULT, MetricPath, Points
from mfsweep.quantities import Quantity
from mfsweep.store import write_file, write_text

CENTIMETRE = 1 / 2.54
WIDTH, HEIGHT = 8.4 * CENTIMETRE, 8.0 * CENTIMETRE
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "svg.fonttype": "path",
}
INK = "#111111"
MUTED = "#767676"
HUES = {"dft": "#0072B2", "xtb": "#D55E00"}
"""The two methods of the source study keep their colours; others take the next of the Okabe-Ito set."""
OTHER_HUES = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = "os^Dvp*X"


@dataclass(frozen=True, slots=True)
class Residual:
    """Mean absolute difference of two methods after energy offsets, over structures: what a perfect auxiliary model leaves."""

    method: str
    target: str
    value: float
    """meV/atom."""

    @property
    def label(self) -> str:
        """Return the text of the line in a figure."""
        return f"mean |{self.target} − {self.method}| = {self.value:.3g} meV/atom"


def error_figure(curves: Sequence[Curve], y: MetricPath, target: str, offsets_only: float | None = None) -> Figure:
    """Return error against fine-tune size: direct training in black, one line a pre-training, bars over replicates.

    Arguments:
        curves: from `curves.curves`.
        y: the metric drawn.
        target: its label method.
        offsets_only: the null model's error, in the metric's unit.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _canvas()
        hues = _hues({method for curve in curves for method in curve.auxiliary})
        depth = _depths([(tuple(curve.auxiliary), curve.label) for curve in curves if not curve.direct])
        for index, curve in enumerate(curves):
            hue = INK if curve.direct else hues[next(iter(curve.auxiliary), "")]
            colour = INK if curve.direct else _shade(hue, depth[tuple(curve.auxiliary), curve.label])
            _draw_curve(axes, curve, colour, MARKERS[index % len(MARKERS)])
        if offsets_only is not None:
            axes.axhline(offsets_only, color=MUTED, linestyle=":", label="offsets only")
        knots = [knot for curve in curves for knot in curve.knots]
        axes.set(xscale="log", yscale="log", xlabel=f"{target} training structures", ylabel=path_label(y, target))
        _size_ticks(axes, sorted({knot.size for knot in knots}))
        _error_ticks(
            axes.yaxis, [value for knot in knots for value in (knot.low, knot.high)] + [offsets_only or np.nan]
        )
        _legend(figure, axes, hollow=any(knot.capped for knot in knots))
        return figure


def law_figure(law: Law, residuals: Sequence[Residual] = ()) -> Figure:
    """Return the transfer law: points, a fitted line a group, y = x, and the residuals of the methods that appear.

    A refused law is drawn as its points alone. y = x is drawn where x and y have one unit.
    """
    x, y = MetricPath.parse(law.points.x), MetricPath.parse(law.points.y)
    with mpl.rc_context(STYLE):
        figure, axes = _canvas()
        groups = list(law.points.labels)
        method = {point.group: point.x_method or "" for point in law.points}
        hues = _hues(set(method.values()))
        depth = _depths([((method[group],), law.points.labels[group]) for group in groups])
        for index, group in enumerate(groups):
            colour = _shade(hues[method[group]], depth[(method[group],), law.points.labels[group]])
            _draw_group(axes, law, group, colour, MARKERS[index % len(MARKERS)])
        shown = [one for one in residuals if one.method in method.values() and y.quantity is Quantity.ENERGY_MAE]
        for one, style in zip(shown, ((0, (5, 2)), (0, (1, 1)), (0, (3, 1, 1, 1))), strict=False):
            axes.axhline(one.value, color=hues[one.method], linewidth=0.8, linestyle=style, label=one.label)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=path_label(x, _only(law.points, "x_method")),
            ylabel=path_label(y, _only(law.points, "y_method")),
        )
        _law_limits(axes, law.points, [one.value for one in shown], diagonal=x.quantity.unit == y.quantity.unit)
        if law.pooled:
            low, high = law.pooled.interval
            axes.set_title(
                f"pooled gradient {law.pooled.gradient:.2f} [{low:.2f}, {high:.2f}], {law.pooled.verdict}", loc="left"
            )
        _legend(figure, axes, hollow=any(not point.converged for point in law.points))
        return figure


def path_label(path: MetricPath, method: str | None) -> str:
    """Return an axis label with its unit, `pretrain: dft validation energy MAE (meV/atom)`."""
    stage = "" if path.stage == RESULT else f"{path.stage}: "
    return f"{stage}{method + ' ' if method else ''}{path.part} {path.quantity.label} ({path.quantity.unit})"


def save(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write `<stem>.svg` and `<stem>.png` (300 dpi) into a folder and return their paths."""
    vector, raster = folder / f"{stem}.svg", folder / f"{stem}.png"
    write_text(vector, svg(figure))
    write_file(raster, lambda path: figure.savefig(path, dpi=300, facecolor="white"))
    return vector, raster


def svg(figure: Figure) -> str:
    """Return the figure as SVG text, the same for the same figure."""
    text = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": "mfsweep"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return text.getvalue()


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _draw_curve(axes: Axes, curve: Curve, colour: Any, marker: str) -> None:
    sizes = [knot.size for knot in curve.knots]
    errors = np.array([knot.error for knot in curve.knots])
    spread = [errors - [knot.low for knot in curve.knots], [knot.high for knot in curve.knots] - errors]
    axes.errorbar(sizes, errors, yerr=spread, color=colour, linewidth=1.1, elinewidth=0.7, capsize=1.6, capthick=0.7)
    for knot in curve.knots:
        axes.plot(
            knot.size, knot.error, marker, color=colour, markerfacecolor="white" if knot.capped else colour, zorder=3
        )
    axes.plot([], [], color=colour, marker=marker, markerfacecolor=colour, label=curve.label)


def _draw_group(axes: Axes, law: Law, group: tuple[Any, ...], colour: Any, marker: str) -> None:
    members = [point for point in law.points if point.group == group]
    for point in members:
        axes.plot(
            point.x,
            point.y,
            marker,
            color=colour,
            markerfacecolor=colour if point.converged else "none",
            linestyle="none",
            zorder=3,
        )
    label = _short_label(law.points, group)
    line = next((one for one in law.lines if one.group == law.points.labels[group]), None)
    if line is None:
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=f"{label}: no line")
        return
    ends = np.array([min(point.x for point in members), max(point.x for point in members)])
    axes.plot(ends, line.prefactor * ends**line.gradient, color=colour)
    axes.plot([], [], color=colour, marker=marker, markerfacecolor=colour, label=f"{label}: m = {line.gradient:.2f}")


def _short_label(points: Points, group: tuple[Any, ...]) -> str:
    """Return a group's text by the axes that vary among groups."""
    groups = list(points.labels)
    telling = [index for index in range(len(group)) if len({other[index] for other in groups}) > 1]
    return ", ".join(f"{points.group_by[index].replace('_', ' ')} {group[index]}" for index in telling) or "all points"


def _hues(methods: set[str]) -> dict[str, str]:
    others = sorted(methods - set(HUES))
    return HUES | {method: OTHER_HUES[index % len(OTHER_HUES)] for index, method in enumerate(others)} | {"": MUTED}


def _depths(series: Sequence[tuple[tuple[str, ...], str]]) -> dict[tuple[tuple[str, ...], str], float]:
    """Return, for each (methods, label), its place among those of the same methods: 0 the first, 1 the last."""
    depths = {}
    for methods, label in series:
        same = [other for kind, other in series if kind == methods]
        depths[methods, label] = 1.0 if len(same) == 1 else same.index(label) / (len(same) - 1)
    return depths


def _shade(hue: str, depth: float) -> tuple[float, ...]:
    """Return a hue from light (depth 0) to a little darker than itself (1)."""
    base = np.array(to_rgb(hue))
    light, dark = 0.5 * base + 0.5, 0.75 * base
    return tuple((1 - depth) * light + depth * dark)


def _only(points: Points, name: str) -> str | None:
    """Return the one method of all points, or None."""
    methods = {getattr(point, name) for point in points}
    return methods.pop() if len(methods) == 1 else None


def _size_ticks(axes: Axes, sizes: Sequence[int]) -> None:
    if not sizes:
        return
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    )
    axes.xaxis.set_minor_locator(NullLocator())


def _error_ticks(axis: Any, values: Sequence[float]) -> None:
    """Set plain-number ticks, as many as the span of the values calls for."""
    known = [value for value in values if np.isfinite(value) and value > 0]
    span = max(known) / min(known) if known else 1.0
    axis.set_major_locator(LogLocator(subs=(1,) if span > 300 else (1, 2, 5)) if span > 4 else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _law_limits(axes: Axes, points: Points, levels: list[float], *, diagonal: bool) -> None:
    """Set limits that hold the points, the levels and a stretch of y = x."""
    if not len(points):
        return
    xs, ys = [point.x for point in points], [point.y for point in points] + levels
    left, right = min(xs) / 1.15, max(xs) * 1.15
    bottom, top = min(ys) / 1.2, max(ys) * 1.2
    if diagonal:
        bottom, top = min(bottom, right / 1.6), max(top, left * 1.6)
        axes.plot([left, right], [left, right], color=INK, linewidth=0.7, linestyle="-.", label="y = x", zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    _error_ticks(axes.xaxis, [left, right])
    _error_ticks(axes.yaxis, [bottom, top])


def _legend(figure: Figure, axes: Axes, *, hollow: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if hollow:
        handles.append(Line2D([], [], color=MUTED, marker="o", markerfacecolor="white", linestyle="none"))
        labels.append("hollow: stopped by max_steps")
    if handles:
        wide = max(map(len, labels)) > 26
        figure.legend(handles, labels, loc="outside lower center", ncols=1 if wide and len(labels) < 4 else 2)
