"""How figures look: an 8 cm column, vectors, ticks in plain numbers, a legend under the axes.

Which colour and marker a series has is told by palette.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from mfsweep.analysis.palette import INK, MUTED
from mfsweep.analysis.plotting import PlotAxes, PlotFigure

CENTIMETRE = 1 / 2.54
WIDTH, HEIGHT = 8.4 * CENTIMETRE, 6.6 * CENTIMETRE
"""Size of a panel of one column, inches; a legend under it makes the figure higher."""
LEGEND_LINE = 0.33 * CENTIMETRE
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "mfsweep",
}
DASHES = ((0, (5, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)))
LEGEND_CHARACTERS = 62
"""Characters of legend text that fit beside one another, a column's handle counted as six."""
EDGE = 1.35
"""How far an axis of sizes goes beyond them: a factor."""
DATA_SHARE = 0.62
"""Share of a panel's height that its points fill at least: a level that would take more is marked at the edge."""
APART, TOGETHER = 0.018, 0.09
"""Distance of error bars that would lie over one another, and of all of one x at most, in widths of the axes."""


def styled() -> AbstractContextManager[None]:
    """Return a context in which what is drawn and saved has this style."""
    return mpl.rc_context(STYLE)  # pyright: ignore[reportUnknownMemberType] (its stub leaves a kind of path open)


def canvas(*, wide: bool = False, scales: str = "log-log") -> tuple[PlotFigure, PlotAxes]:
    """Return an empty figure and its axes.

    Args:
        wide: two columns in place of one.
        scales: of x and y, each `log` or `linear`.
    """
    figure = Figure(figsize=(2 * WIDTH if wide else WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    x, y = scales.split("-")
    axes.set(xscale=x, yscale=y)
    # A type checker holds matplotlib's other keywords, of plot for one, against the type of `**style` too.
    return figure, cast("PlotAxes", axes)


def panels(number: int) -> tuple[PlotFigure, Sequence[PlotAxes]]:
    """Return an empty figure and the axes of some panels side by side, each of one column."""
    figure = Figure(figsize=(WIDTH * number, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, number, squeeze=False)[0]


def size_ticks(axes: PlotAxes, sizes: Sequence[int]) -> None:
    """Put the x ticks of a size axis on the sizes themselves."""
    if not sizes:
        return
    axes.set_xlim(sizes[0] / EDGE, sizes[-1] * EDGE)
    axes.xaxis.set_major_locator(FixedLocator(sizes) if len(sizes) < 8 else LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_in_thousands))
    _minor_ticks(axes.xaxis)


def error_ticks(axis: Any, values: Sequence[float]) -> None:
    """Set plain-number ticks, as many as the span of the values calls for."""
    known = [value for value in values if np.isfinite(value) and value > 0]
    span = max(known) / min(known) if known else 1.0
    steps = (1.0,) if span > 300 else (1.0, 2.0, 5.0) if span > 12 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(subs=steps) if span > 3 else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(_short))
    _minor_ticks(axis)


def _minor_ticks(axis: Any) -> None:
    axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=20))
    axis.set_minor_formatter(NullFormatter())


class HorizontalLine(NamedTuple):
    """A horizontal line that points are held against."""

    value: float
    text: str
    colour: str
    dashes: Any


def frame(axes: PlotAxes, values: Sequence[float], levels: Sequence[HorizontalLine]) -> None:
    """Set the limits of a logarithmic y axis and draw the levels.

    The points keep the most of the panel: a level too far from them is a triangle at the edge, with its number in the
    legend.
    """
    known = [value for value in values if np.isfinite(value) and value > 0] or [level.value for level in levels]
    if not known:
        return
    own = np.log([min(known) / 1.15, max(known) * 1.15])
    low, high = own.tolist()
    room = (high - low) / DATA_SHARE
    for level in sorted(levels, key=lambda one: abs(np.log(one.value) - own.mean())):
        wanted = min(low, np.log(level.value / 1.1)), max(high, np.log(level.value * 1.1))
        if wanted[1] - wanted[0] <= room:
            low, high = wanted
    edges: list[HorizontalLine] = []
    for level in levels:
        if low <= np.log(level.value) <= high:
            axes.axhline(
                level.value, color=level.colour, linewidth=0.8, linestyle=level.dashes, label=level.text, zorder=1
            )
        else:
            edges.append(level)
    for place, level in enumerate(edges):
        above = np.log(level.value) > high
        axes.plot(
            0.96 - 0.05 * place,
            1.0 if above else 0.0,
            "^" if above else "v",
            color=level.colour,
            transform=axes.transAxes,
            clip_on=False,
            linestyle="none",
            label=f"{level.text} {'↑' if above else '↓'}",
        )
    axes.set_ylim(np.exp(low), np.exp(high))
    error_ticks(axes.yaxis, [float(np.exp(low)), float(np.exp(high))])


def aside(place: int, count: int, values: Sequence[float], *, log: bool) -> Callable[[float], float]:
    """Return where a series stands on the x axis, so that the error bars of several do not lie over one another.

    Args:
        place: of the series, from 0.
        count: of the series.
        values: of the x axis.
        log: whether it is logarithmic.
    """
    known = sorted({math.log(value) if log else value for value in values if value > 0 or not log})
    if len(known) < 2:
        return lambda x: x
    # Half of the least gap at most (to 0 too, which no share crosses), so that no series stands at another one's x.
    gaps = [other - one for one, other in itertools.pairwise(known)]
    gaps += [known[0]] if not log and known[0] > 0 else []
    step = min(APART * (known[-1] - known[0]), TOGETHER * (known[-1] - known[0]) / count, min(gaps) / 2 / count)
    shift = step * (place - (count - 1) / 2)
    return (lambda x: x * math.exp(shift)) if log else (lambda x: x + shift)


def _in_thousands(value: float, _: object = None) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _short(value: float, _: object = None) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):g}{letter}"
    return f"{value:g}"


def legend(figure: PlotFigure, axes: PlotAxes, *, hollow: bool, spread: int = 1, title: str | None = None) -> None:
    """Put the legend under the axes, in as many columns as the labels leave room for.

    Args:
        figure: whose legend it is.
        axes: with the labelled series.
        hollow: with a mark for what has not converged.
        spread: replicates that the error bars span; of one there are none.
        title: of the legend.
    """
    handles, labels = axes.get_legend_handles_labels()
    if hollow:
        handles.append(Line2D([], [], color=MUTED, marker="o", markerfacecolor="white", linestyle="none"))
        labels.append("not converged")
    if spread > 1:
        handles.append(Line2D([], [], color=MUTED, marker="|", markersize=7, linestyle="none"))
        labels.append(f"range of {spread} replicates")
    if handles:
        room = LEGEND_CHARACTERS * figure.get_figwidth() / WIDTH
        columns = max(1, min(round(3 * figure.get_figwidth() / WIDTH), int(room) // (max(map(len, labels)) + 6)))
        lines = -(-len(labels) // columns) + (title is not None)
        figure.set_figheight(HEIGHT + lines * LEGEND_LINE)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=title, title_fontsize=6.5)
