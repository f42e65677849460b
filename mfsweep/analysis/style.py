"""How figures look: an 8 cm column, vectors, colours that survive colour blindness and grey print.

A label method is one hue, its series run from light to dark, and each has a marker of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

CENTIMETRE = 1 / 2.54
WIDTH, HEIGHT = 8.4 * CENTIMETRE, 8.4 * CENTIMETRE
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
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "mfsweep",
}
INK = "#111111"
MUTED = "#767676"
HUES = {"cc": "#009E73", "dft": "#0072B2", "xtb": "#D55E00"}
"""The methods of the source study keep their colours; others take the next of the Okabe-Ito set."""
OTHER_HUES = ("#CC79A7", "#56B4E9", "#E69F00", "#7A5C99")
MARKERS = "s^Dvp*Xo"
DASHES = ((0, (5, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)))
LEGEND_CHARACTERS = 62
"""Characters of legend text that fit beside one another, a column's handle counted as six."""

Colour = tuple[float, float, float] | str


@dataclass(frozen=True, slots=True)
class Series:
    """The look of one series."""

    colour: Colour
    marker: str


def hues(methods: set[str]) -> dict[str, str]:
    """Return method -> hue; the empty method (several, or none) is grey."""
    others = sorted(methods - set(HUES) - {""})
    return HUES | {method: OTHER_HUES[index % len(OTHER_HUES)] for index, method in enumerate(others)} | {"": MUTED}


def series(methods: Sequence[str], known: Collection[str] = ()) -> list[Series]:
    """Return the look of each series, given by its method in drawing order: light to dark within a method.

    Args:
        methods: of the series.
        known: the methods of the whole study, so that each keeps its colour from figure to figure.
    """
    colours = hues({*methods, *known})
    order = list(dict.fromkeys(methods))
    looks = []
    for index, method in enumerate(methods):
        place, last = methods[:index].count(method), methods.count(method) - 1
        # Each method begins at a marker of its own: in grey print its hue does not tell it apart.
        marker = MARKERS[(place + order.index(method)) % len(MARKERS)]
        looks.append(Series(_shade(colours[method], place / last if last else 1.0), marker))
    return looks


def canvas(*, wide: bool = False, scales: str = "log-log") -> tuple[Figure, Axes]:
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
    return figure, axes


def size_ticks(axes: Axes, sizes: Sequence[int]) -> None:
    """Put the x ticks of a size axis on the sizes themselves."""
    if not sizes:
        return
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.xaxis.set_major_locator(FixedLocator(sizes) if len(sizes) < 8 else LogLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    )
    axes.xaxis.set_minor_locator(NullLocator())


def error_ticks(axis: Any, values: Sequence[float]) -> None:
    """Set plain-number ticks, as many as the span of the values calls for."""
    known = [value for value in values if np.isfinite(value) and value > 0]
    span = max(known) / min(known) if known else 1.0
    steps = (1.0,) if span > 300 else (1.0, 2.0, 5.0) if span > 12 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(subs=steps) if span > 3 else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):g}{letter}"
    return f"{value:g}"


def legend(figure: Figure, axes: Axes, *, hollow: bool, title: str | None = None) -> None:
    """Put the legend under the axes, in as many columns as the labels leave room for."""
    handles, labels = axes.get_legend_handles_labels()
    if hollow:
        handles.append(Line2D([], [], color=MUTED, marker="o", markerfacecolor="white", linestyle="none"))
        labels.append("not converged")
    if handles:
        room = LEGEND_CHARACTERS * figure.get_figwidth() / WIDTH
        columns = max(1, min(round(3 * figure.get_figwidth() / WIDTH), int(room) // (max(map(len, labels)) + 6)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=title, title_fontsize=6.5)


def _shade(hue: str, depth: float) -> Colour:
    """Return a hue from light (depth 0) to a little darker than itself (1)."""
    base = np.array(to_rgb(hue))
    light, dark = 0.5 * base + 0.5, 0.75 * base
    red, green, blue = (1 - depth) * light + depth * dark
    return float(red), float(green), float(blue)
