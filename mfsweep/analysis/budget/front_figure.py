"""The Pareto front of a decision: predicted error against cost, beside the settings that were trained."""

from __future__ import annotations

from mfsweep.analysis import style
from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.figures import path_label
from mfsweep.analysis.palette import INK, MUTED, Palette

CAPTION = (
    "Line: the best that a budget buys, as predicted, with the 95 % interval of one training; dashed where it "
    "extrapolates. Star: what to buy. Points: trained settings, geometric means. Cost: labels{training}."
)


def front_figure(decision: Decision, palette: Palette) -> Picture:
    """Draw the front of a decision."""
    front, best, path = decision.front, decision.best, decision.measured.path
    with style.styled():
        figure, axes = style.canvas()
        costs = [one.cost for one in front]
        axes.fill_between(
            costs, [one.low for one in front], [one.high for one in front], color=MUTED, alpha=0.2, linewidth=0
        )
        inside = [one for one in front if not one.beyond]
        axes.plot(
            costs, [one.error for one in front], "--", color=INK, linewidth=0.8, label="predicted front", zorder=2
        )
        axes.plot([one.cost for one in inside], [one.error for one in inside], "-", color=INK, linewidth=1.2, zorder=2)
        for way in decision.catalogue.ways:
            settings = [one for one in decision.trained if one.way == way and one.cost > 0]
            look = palette.look({"method": way.method or decision.measured.target, "strategy": way.strategy})
            points = [one.cost for one in settings], [one.error for one in settings]
            axes.plot(*points, look.marker, color=look.colour, linestyle="none", label=str(way), zorder=3)
        axes.plot(best.cost, best.error, "*", color=INK, markersize=8, linestyle="none", label="what to buy", zorder=4)
        unit = decision.prices.unit
        axes.set(xlabel=f"cost ({unit})", ylabel=path_label(path, path.method or decision.measured.target))
        every = [*costs, *(one.cost for one in decision.trained if one.cost > 0)]
        style.error_ticks(axes.xaxis, every)
        style.error_ticks(axes.yaxis, [value for one in front for value in (one.low, one.high)])
        style.legend(figure, axes, hollow=False)
    training = " and training" if best.training else ""
    return Picture("decision.front", CAPTION.format(training=training), figure)
