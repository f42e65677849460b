"""Figures of predictions: parity, and the mean error over bins or over groups with its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import AutoMinorLocator, MaxNLocator

from mfsweep.analysis import style
from mfsweep.analysis.breakdown import Bin, Mean
from mfsweep.analysis.facts import Floats
from mfsweep.analysis.palette import INK, MUTED
from mfsweep.analysis.plotting import PlotAxes, PlotFigure

DRAWN = 2000
"""Points of a parity plot at most, evenly taken."""


class Shown(NamedTuple):
    """How one setting is drawn."""

    text: str
    colour: str
    marker: str


def parity(sides: Sequence[tuple[Shown, Floats, Floats]], quantity: str, unit: str) -> PlotFigure:
    """Return predicted against reference values, (n,) each, one cloud a setting, the first on top."""
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        for order, (shown, reference, predicted) in enumerate(sides):
            few = np.linspace(0, len(reference) - 1, min(len(reference), DRAWN)).astype(np.int64)
            error = np.abs(predicted - reference).mean()
            axes.plot(
                reference[few],
                predicted[few],
                shown.marker,
                color=shown.colour,
                markersize=2.6,
                markeredgewidth=0,
                alpha=0.55,
                zorder=4 - order,
                label=f"{shown.text}: MAE {error:.3g} {unit}",
            )
        ends = _ends([values for _, *both in sides for values in both])
        axes.plot(ends, ends, color=INK, linewidth=0.7, zorder=1)
        axes.set(xlabel=f"reference {quantity} ({unit})", ylabel=f"predicted {quantity} ({unit})", xlim=ends, ylim=ends)
        axes.set_aspect("equal", adjustable="box")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_minor_locator(AutoMinorLocator())
        style.legend(figure, axes, hollow=False)
    return figure


def over_bins(sides: Sequence[tuple[Shown, Sequence[Bin]]], x: str, y: str) -> PlotFigure:
    """Return the mean error of bins at their mean x, a horizontal bar over each bin, a vertical one its interval."""
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        every = [one.middle for _, bins in sides for one in bins]
        for order, (shown, bins) in enumerate(sides):
            moved = style.aside(order, len(sides), every, log=False)
            places = [moved(one.middle) for one in bins]
            axes.plot(places, [one.mean.value for one in bins], color=shown.colour, linewidth=0.8)
            for at, one in zip(places, bins, strict=True):
                axes.plot([one.low, one.high], [one.mean.value] * 2, color=shown.colour, linewidth=0.8, alpha=0.4)
                _interval(axes, at, one.mean, shown)
            axes.plot([], [], shown.marker, color=shown.colour, linestyle="-", label=shown.text)
        _finish(figure, axes, x, y)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_minor_locator(AutoMinorLocator())
    return figure


def over_groups(sides: Sequence[tuple[Shown, Mapping[str, Mean]]], groups: Sequence[str], x: str, y: str) -> PlotFigure:
    """Return the mean error of groups, the settings side by side."""
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        width = 0.8 / len(sides)
        for order, (shown, means) in enumerate(sides):
            for place, group in enumerate(groups):
                if group in means:
                    at = place + (order - (len(sides) - 1) / 2) * width
                    mean = means[group]
                    axes.bar(at, mean.value, 0.92 * width, facecolor=shown.colour, alpha=0.8)
                    if mean.low is not None and mean.high is not None:
                        axes.plot([at] * 2, [mean.low, mean.high], color=INK, linewidth=0.8, marker="_", markersize=3)
            axes.bar(0, 0, 0, facecolor=shown.colour, alpha=0.8, label=shown.text)
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.tick_params(axis="x", length=0)
        _finish(figure, axes, x, y)
    return figure


def _interval(axes: PlotAxes, x: float, mean: Mean, shown: Shown) -> None:
    if mean.low is not None and mean.high is not None:
        axes.plot([x, x], [mean.low, mean.high], color=shown.colour, linewidth=0.8, marker="_", markersize=3)
    axes.plot(x, mean.value, shown.marker, color=shown.colour, zorder=3)


def _finish(figure: PlotFigure, axes: PlotAxes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_minor_locator(AutoMinorLocator())
    axes.plot([], [], color=MUTED, marker="|", markersize=7, linestyle="none", label="95 % interval over formulae")
    style.legend(figure, axes, hollow=False)


def _ends(values: Sequence[Floats]) -> tuple[float, float]:
    low, high = min(float(own.min()) for own in values), max(float(own.max()) for own in values)
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room
