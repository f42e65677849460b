"""`pareto`: error against what the labels of a cell cost, and the front of those that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mfsweep.analysis import style
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.figures import path_label
from mfsweep.analysis.kinds.caption import BARS, HOLLOW, caption
from mfsweep.analysis.labels_used import labels_used
from mfsweep.analysis.palette import INK
from mfsweep.analysis.records import SEED_AXES
from mfsweep.analysis.selection import MeasuredCell, Spread, Values, grouped, label, measure_some, select, spread, title
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath, count
from mfsweep.records import CellRecord
from mfsweep.spec.figures import Pareto


class ParetoPoint(NamedTuple):
    """One setting of the grid."""

    line: Values
    cost: float
    error: Spread


def pareto(name: str, wanted: Pareto, study: ReportStudy, analysis: Analysis) -> Picture:
    """Draw errors against costs.

    Raises:
        FitError: no finished cell has the metric, or a method has no cost.
    """
    members = measure_some(analysis.records, select(study.cells, wanted.where), wanted.y)
    every = _places(members, wanted)
    places = [place for place in every if place.cost > 0]
    if not places:
        raise FitError("costs: the labels of every cell cost nothing")
    path = MetricPath.parse(wanted.y)
    methods = {one.method for one in members}
    with style.styled():
        figure, axes = style.canvas()
        lines = list(grouped(members, wanted.lines))
        spread = max(place.error.replicates for place in places)
        for line in lines:
            look = study.palette.look(dict(zip(wanted.lines, line, strict=True)))
            for place in (one for one in places if one.line == line):
                axes.plot([place.cost] * 2, [place.error.low, place.error.high], color=look.colour, linewidth=0.7)
                face = "white" if place.error.capped else look.colour
                axes.plot(place.cost, place.error.value, look.marker, color=look.colour, markerfacecolor=face, zorder=3)
            if wanted.lines:
                axes.plot([], [], look.marker, color=look.colour, label=label(line))
        best = front(places)
        costs, errors = [place.cost for place in best], [place.error.value for place in best]
        axes.step(costs, errors, where="post", color=INK, linewidth=0.8, label="Pareto front", zorder=1)
        axes.set(xlabel=f"cost of labels ({wanted.unit})")
        axes.set(ylabel=path_label(path, path.method or (methods.pop() if len(methods) == 1 else None)))
        style.error_ticks(axes.xaxis, [place.cost for place in places])
        style.error_ticks(axes.yaxis, [value for place in places for value in (place.error.low, place.error.high)])
        capped = any(place.error.capped for place in places)
        style.legend(figure, axes, hollow=capped, spread=spread, title=title(wanted.lines) or None)
    each = ", ".join(f"{method} {cost:g}" for method, cost in wanted.numbers.items())
    costs_said = f"Cost of the distinct training labels that a cell's stages use, {wanted.unit} each: {each}."
    free = f"Left out: {count(len(every) - len(places), 'setting')} that cost nothing." if places != every else ""
    unpaid = " ".join(one.sentence for one in study.unpaid)
    main = f"Each point a setting, geometric mean over seeds; {BARS}."
    return Picture(name, caption(wanted.title, main, costs_said, free, unpaid, HOLLOW if capped else ""), figure)


def front(places: Iterable[ParetoPoint]) -> list[ParetoPoint]:
    """Return the settings that no other beats in both cost and error, by growing cost."""
    best: list[ParetoPoint] = []
    for place in sorted(places, key=lambda one: (one.cost, one.error.value)):
        if not best or place.error.value < best[-1].error.value:
            best.append(place)
    return best


def label_cost(cell: CellRecord, costs: Mapping[str, float]) -> float:
    """Return what the labels of a cell cost: each label that any of its stages trains on once.

    Raises:
        FitError: a method without a cost, or cells of an older version.
    """
    numbers = labels_used(cell)
    if absent := sorted(numbers.keys() - costs.keys()):
        raise FitError(f"costs: none for {', '.join(absent)}; there are {', '.join(costs)}")
    return sum(costs[method] * number for method, number in numbers.items())


def _places(members: Sequence[MeasuredCell], wanted: Pareto) -> list[ParetoPoint]:
    axes = list(dict.fromkeys(axis for one in members for axis in one.cell.values if axis not in SEED_AXES))
    places: list[ParetoPoint] = []
    for of_setting in grouped(members, axes).values():
        costs = {label_cost(one.cell, wanted.numbers) for one in of_setting}
        line = next(iter(grouped(of_setting, wanted.lines)))
        # Subsets that end at their own size differ between split seeds by a formula.
        places.append(ParetoPoint(line, sum(costs) / len(costs), spread(of_setting)))
    return places
