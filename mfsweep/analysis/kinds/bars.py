"""`bars`: errors side by side, with error bars over replicates."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import AutoMinorLocator, MaxNLocator

from mfsweep.analysis import style
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.figures import path_label
from mfsweep.analysis.kinds.caption import BARS, caption, unbalanced
from mfsweep.analysis.palette import INK
from mfsweep.analysis.plotting import PlotAxes
from mfsweep.analysis.selection import Spread, Values, averaged, grouped, label, measure_some, select, spread, title
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.quantities import MetricPath
from mfsweep.spec.figures import Bars

WIDE_ABOVE = 14
"""Bars above which the figure takes two columns."""
FILLED = 0.8
"""Share of a group's width that its bars fill."""
WIDEST = 0.4
"""Greatest width of one bar, in groups."""


def bars(name: str, wanted: Bars, study: ReportStudy, analysis: Analysis) -> Picture:
    """Draw one metric as bars.

    Raises:
        FitError: no finished cell has it.
    """
    members = measure_some(analysis.records, select(study.cells, wanted.where), wanted.y)
    kinds = list(grouped(members, wanted.bars))
    groups = {
        values: {kind: spread(own) for kind, own in grouped(of_group, wanted.bars).items()}
        for values, of_group in grouped(members, wanted.groups).items()
    }
    path = MetricPath.parse(wanted.y)
    methods = {one.method for one in members}
    shown = [one for of_group in groups.values() for one in of_group.values()]
    capped = any(one.capped for one in shown)
    with style.styled():
        figure, axes = style.canvas(wide=sum(map(len, groups.values())) > WIDE_ABOVE, scales="linear-linear")
        colours = [study.palette.look(dict(zip(wanted.bars, kind, strict=True))).colour for kind in kinds]
        _draw(axes, kinds, list(groups.values()), colours)
        axes.set(ylabel=path_label(path, path.method or (methods.pop() if len(methods) == 1 else None)))
        axes.set(xlabel=title(wanted.groups), xlim=(-0.5, len(groups) - 0.5))
        axes.set_xticks(range(len(groups)), [label(values) for values in groups])
        axes.tick_params(axis="x", length=0)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_minor_locator(AutoMinorLocator())
        most = max(one.replicates for one in shown)
        style.legend(figure, axes, hollow=False, spread=most, title=title(wanted.bars))
    over = averaged(members, [*wanted.bars, *wanted.groups])
    said = "White: a training was stopped by max_steps." if capped else ""
    main = f"Geometric mean over {over}; error {BARS}."
    return Picture(name, caption(wanted.title, main, unbalanced(shown), said), figure)


def _draw(
    axes: PlotAxes, kinds: Sequence[Values], groups: Sequence[dict[Values, Spread]], colours: Sequence[str]
) -> None:
    width = min(WIDEST, FILLED / max(map(len, groups)))
    for at, group in enumerate(groups):
        # A group need not have every kind: its own stand side by side about its middle.
        for place, kind in enumerate(kind for kind in kinds if kind in group):
            own, colour = group[kind], colours[kinds.index(kind)]
            x = at + (place - (len(group) - 1) / 2) * width
            face = "white" if own.capped else colour
            axes.bar(x, own.value, 0.92 * width, facecolor=face, edgecolor=colour, linewidth=0.9)
            axes.plot([x, x], [own.low, own.high], color=INK, linewidth=0.8, marker="_", markersize=3)
    for kind, colour in zip(kinds, colours, strict=True):
        # A bar of no height has the label, so that the legend shows the full colour whatever is capped.
        axes.bar(0, 0, 0, facecolor=colour, edgecolor=colour, linewidth=0.9, label=label(kind))
