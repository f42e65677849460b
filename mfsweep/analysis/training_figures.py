"""Figures of trainings: learning curves, and validation error over steps."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis import style
from mfsweep.analysis.histories import History
from mfsweep.analysis.learning import LearningCurve
from mfsweep.analysis.palette import Palette, Series
from mfsweep.analysis.plotting import PlotFigure
from mfsweep.analysis.selection import label, title
from mfsweep.analysis.table import AxisValue

LEGEND = 12
"""Settings that a legend names at most."""


def training_figure(own: Sequence[History], method: str, palette: Palette) -> PlotFigure:
    """Return validation error against steps, a line a training, the selected checkpoint marked."""
    axes_of_stage = dict.fromkeys(axis for one in own for axis in one.values)
    telling = [axis for axis in axes_of_stage if len({one.values.get(axis) for one in own}) > 1]
    with style.styled():
        figure, axes = style.canvas()
        settings: dict[tuple[AxisValue, ...], Series] = {}
        for one in own:
            named = {axis: one.values[axis] for axis in telling if axis in one.values}
            look = palette.look(named)
            values = tuple(one.values.get(axis) for axis in telling)
            settings.setdefault(values, look)
            axes.plot(one.steps, one.errors, color=look.colour, linestyle=look.dashes, linewidth=0.9)
            if one.selected in one.steps:
                at = one.errors[one.steps.index(one.selected)]
                face = look.colour if one.converged else "white"
                axes.plot(one.selected, at, "o", color=look.colour, markerfacecolor=face, markersize=3.4, zorder=3)
        if telling and len(settings) <= LEGEND:
            for values, look in settings.items():
                axes.plot([], [], color=look.colour, linestyle=look.dashes, label=label(values))
        axes.set(xlabel="optimiser step", ylabel=f"{method} validation energy MAE (meV/atom)")
        style.error_ticks(axes.xaxis, [step for one in own for step in one.steps])
        style.error_ticks(axes.yaxis, [error for one in own for error in one.errors])
        named_by = title(telling) if telling and len(settings) <= LEGEND else None
        hollow = not all(one.converged for one in own)
        style.legend(figure, axes, hollow=hollow, title=named_by)
    return figure


def learning_figure(own: Sequence[LearningCurve], method: str, palette: Palette) -> PlotFigure:
    """Return validation error against training structures, a mark a training and a line through their means."""
    with style.styled():
        figure, axes = style.canvas()
        every = [one for curve in own for one in curve.trainings]
        for curve in own:
            look = palette.look(curve.values or {"": method})
            means = curve.means
            axes.plot(list(means), list(means.values()), color=look.colour, linestyle=look.dashes)
            for one in curve.trainings:
                face = look.colour if one.converged else "white"
                axes.plot(one.size, one.error, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
            if curve.values and len(own) <= LEGEND:
                text = label(tuple(curve.values.values()))
                axes.plot([], [], look.marker, color=look.colour, linestyle=look.dashes, label=text)
        axes.set(xlabel=f"{method} training structures", ylabel=f"{method} validation energy MAE (meV/atom)")
        style.size_ticks(axes, sorted({one.size for one in every}))
        style.frame(axes, [one.error for one in every], [])
        named_by = title(list(own[0].values)) if len(own) <= LEGEND else None
        style.legend(figure, axes, hollow=not all(one.converged for one in every), title=named_by or None)
    return figure
