"""Strategies of one or several sweeps side by side (analysis/comparison has what is compared, and how)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.comparison.compare import Comparison, LabelPrices
from mfsweep.analysis.comparison.compare import compare as side_by_side
from mfsweep.analysis.comparison.settings import SWEEP, StrategyCell
from mfsweep.analysis.records import Records, score_of
from mfsweep.analysis.selection import label, values_of
from mfsweep.analysis.study import tested_errors
from mfsweep.errors import FitError, nearest
from mfsweep.plan.strategies import minus, strategy
from mfsweep.prepare import Plan
from mfsweep.records import CellRecord
from mfsweep.spec.figures import Pareto

AXES = ("strategy", "variant")
"""Axes that name strategies where the user names none; the first that all specs have."""
STAGES = "stages"
"""In place of an axis: strategies are told from the stages."""


def compare(
    plans: Sequence[Plan],
    *,
    by: str | None = None,
    against: str | None = None,
    y: str | None = None,
    label_costs: Mapping[str, float] | None = None,
    unit: str | None = None,
) -> Comparison:
    """Compare the strategies of plans in one store.

    Args:
        plans: one for each spec, on one store.
        by: as of `Sweep.compare`; an axis by default only where all specs have it.
        against: as of `Sweep.compare`.
        y: as of `Sweep.compare`, by the first spec.
        label_costs: as of `Sweep.compare`, by the first spec with such a figure.
        unit: as of `Sweep.compare`.

    Raises:
        FitError: nothing is trained yet, there is one strategy only, no two can be compared, a name is unknown, or the
            costs cannot be turned into the unit.
    """
    cells = [_marked(plan, several=len(plans) > 1) for plan in plans]
    axis = _axis([one for own in cells for one in own], by)
    candidates = [
        StrategyCell(
            cell,
            strategy(plan.graph, planned) if axis == STAGES else label(values_of(cell, [axis])),
            minus(plan.graph, planned),
        )
        for plan, own in zip(plans, cells, strict=True)
        for planned, cell in zip(plan.graph.cells, own, strict=True)
    ]
    used = {method for one in candidates for sets in one.cell.sets.values() for own in sets for method in own.methods}
    costs = _costs(plans, label_costs, unit, used)
    candidates = _asked_alike(candidates)
    records = Records(plans[0].store, [one.cell for one in candidates])
    try:
        return side_by_side(records, candidates, y or _metric(plans[0]), axis, against, costs)
    except FitError as error:
        names = ", ".join(str(plan.spec.document.path) for plan in plans)
        raise FitError(f"{names}: {error}{_hint(candidates, axis)}") from error


def _marked(plan: Plan, *, several: bool) -> list[CellRecord]:
    """Return the cells of a plan, those of several with the name of their sweep as one more axis."""
    cells = plan.cells()
    if not several:
        return cells
    return [cell.model_copy(update={"values": {**cell.values, SWEEP: plan.name}}) for cell in cells]


def _axis(cells: Sequence[CellRecord], by: str | None) -> str:
    known = dict.fromkeys(axis for cell in cells for axis in cell.values)
    if by is None:
        shared = (axis for axis in AXES if all(axis in cell.values for cell in cells))
        return next((axis for axis in shared if len({str(cell.values[axis]) for cell in cells}) > 1), STAGES)
    if by not in known and by != STAGES:
        raise FitError(
            f"--by {by}: no such axis: there are {', '.join([*known, STAGES])}.{nearest(by, [*known, STAGES])}"
        )
    return by


def _metric(plan: Plan) -> str:
    fits = plan.spec.experiment.fits.values()
    paths = [fit.y for fit in fits] or list(tested_errors(plan.cells()))
    if not paths:
        raise plan.spec.document.error(
            ("evaluate",), None, "the labels on which results are scored, or a metric by --y: there is no test error"
        )
    return paths[0]


def _costs(
    plans: Iterable[Plan], given: Mapping[str, float] | None, unit: str | None, used: AbstractSet[str]
) -> LabelPrices | None:
    """Return the costs that are given, else those of a figure that has one for every method, in the unit asked for.

    Raises:
        FitError: the figure's unit cannot be turned into it.
    """
    if given:
        return LabelPrices(given, unit or "units")
    for plan in plans:
        for name, figure in plan.figures.items():
            if isinstance(figure, Pareto) and used <= figure.numbers.keys():
                costs = Prices(figure.numbers, figure.unit, f"figure {name!r} of the spec")
                return LabelPrices(
                    costs.at(unit or figure.unit, "--label-cost METHOD=COST").labels, unit or figure.unit
                )
    return None


def _asked_alike(candidates: Sequence[StrategyCell]) -> list[StrategyCell]:
    """Return the cells so that each stage is asked for its evaluations once; of one name that of the first spec."""
    asked: dict[str, dict[str, Any]] = {}
    for one in candidates:
        for name, key in one.cell.stages.items():
            for evaluation in one.cell.evaluations.get(name, ()):
                asked.setdefault(key, {}).setdefault(score_of(evaluation), evaluation)
    made = []
    for one in candidates:
        own = {name: list(asked.get(key, {}).values()) for name, key in one.cell.stages.items()}
        made.append(one._replace(cell=one.cell.model_copy(update={"evaluations": own})))
    return made


def _hint(candidates: Sequence[StrategyCell], axis: str) -> str:
    if len({one.strategy for one in candidates}) > 1:
        return ""
    others = dict.fromkeys(own for one in candidates for own in one.cell.values if own != axis)
    return f". Name an axis whose values are the strategies: --by {', '.join(others)}" if others else ""
