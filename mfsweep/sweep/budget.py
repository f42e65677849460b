"""What to buy for a budget, by the cells of one spec: where the costs come from, and which error is meant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mfsweep.analysis.budget.advice import Advice, advice
from mfsweep.analysis.budget.against import read
from mfsweep.analysis.budget.costs import CORE_TIME, Prices
from mfsweep.analysis.budget.decide import REACH
from mfsweep.analysis.budget.targets import Target
from mfsweep.analysis.facts import SubsetPart
from mfsweep.analysis.records import Records
from mfsweep.analysis.study import DecisionBasis, ReportStudy, Unpaid, tested_errors
from mfsweep.errors import FitError, nearest
from mfsweep.prepare import Plan
from mfsweep.prepare.label_costs import measured as measured_cost
from mfsweep.records import CellRecord
from mfsweep.spec.figures import Pareto
from mfsweep.sweep import facts
from mfsweep.sweep.unpaid import unpaid

LARGEST_REACH = 1000.0
MOST = 1e15
"""Largest cost that a user may name, in any unit: sums of such costs are still numbers."""


@dataclass(frozen=True)
class BudgetOptions:
    """What the user may set of a budget."""

    budget: float | None = None
    """Default: what the dearest trained cell has cost."""
    unit: str | None = None
    """Default: that of the spec's costs."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Label method -> cost of a label, in place of the spec's."""
    targets: Sequence[str] = ()
    """As `Target.parse` reads them."""
    error: str | None = None
    """Path of the metric that is to be low."""
    hour: float | None = None
    """Cost of an hour of training on a core, or a GPU."""
    reach: float = REACH
    """Times the largest trained size that a design may have."""
    against: Path | None = None
    """What `mfsweep budget --json` has printed of fewer cells."""

    def words(self) -> tuple[str, ...]:
        """Return the options that were given, as words of a command line."""
        plain = {"--budget": self.budget, "--unit": self.unit, "--error": self.error, "--hour": self.hour}
        plain["--reach"] = None if self.reach == REACH else self.reach
        words = [word for name, value in plain.items() if value is not None for word in (name, _written(value))]
        for name, values in (
            ("--cost", [f"{method}={cost:.12g}" for method, cost in self.costs.items()]),
            ("--target", self.targets),
        ):
            words += [word for value in values for word in (name, value)]
        return tuple(words)


def budget(plan: Plan, options: BudgetOptions) -> Advice:
    """Return what to buy.

    Raises:
        FitError: an option that cannot be meant, or cells of which nothing can be said, with the reason.
    """
    targets = [Target.parse(text) for text in options.targets]
    prices = prices_of(plan, options)
    cells = plan.cells()
    records = Records(plan.store, cells)
    path = options.error or default_error(plan, cells)
    notes = notes_of(plan, prices, cells, facts.parts(plan), unpaid(plan, asked=True))
    return advice(
        records,
        cells,
        prices,
        path,
        budget=options.budget,
        targets=targets,
        reach=options.reach,
        against=None if options.against is None else read(options.against),
        notes=notes,
    )


def basis(plan: Plan, study: ReportStudy) -> DecisionBasis | str:
    """Return what a report's decision takes beside the cells, or what is missing for one."""
    prices = known_prices(plan)
    if prices is None:
        return (
            "no cost of a label is known: `costs:` in a figure of kind pareto, or `mfsweep budget` with --cost "
            "(docs/how-to/budget.md)"
        )
    try:
        path = default_error(plan, study.cells)
    except FitError as error:
        return str(error)
    seen = study.unpaid or unpaid(plan, asked=True)
    return DecisionBasis(prices, path, notes_of(plan, prices, study.cells, study.parts, seen))


def default_error(plan: Plan, cells: Sequence[CellRecord]) -> str:
    """Return the metric that a figure of costs draws, else that of the first fit, else the first test error.

    Raises:
        FitError: the spec evaluates nothing on test structures.
    """
    drawn = [figure.y for figure in plan.figures.values() if isinstance(figure, Pareto)]
    found = [*drawn, *(fit.y for fit in plan.spec.experiment.fits.values()), *tested_errors(cells)]
    if not found:
        raise FitError(
            "no error is known by which cells could be compared: the spec has no `evaluate:` on a test subset"
        )
    return found[0]


def known_prices(plan: Plan) -> Prices | None:
    """Return the costs of labels in the first figure of costs, else as `mfsweep data label` measured them; or None."""
    for name, figure in plan.figures.items():
        if isinstance(figure, Pareto) and "measured" not in figure.costs.values():
            return Prices(figure.numbers, figure.unit, f"figure {name!r} of the spec")
    known = plan.spec.experiment.data.labels.items()
    costs = {method: cost for method, keys in known if (cost := measured_cost(keys, plan.sources)) is not None}
    return Prices(costs, "core-seconds", "measured by `mfsweep data label`") if costs else None


def notes_of(
    plan: Plan, prices: Prices, cells: Sequence[CellRecord], parts: Sequence[SubsetPart], seen: Sequence[Unpaid]
) -> list[str]:
    """Return what the answer does not count: labels of fixed offsets, and of validation."""
    found = []
    if plan.spec.experiment.data.offsets == "fixed":
        found.append(
            "Energy offsets are fixed (docs/fairness.md#rule-5): every size was trained with offsets that may have "
            "seen more labels than it buys, so that small sizes look better than bought labels alone would make them."
        )
        found += [one.sentence for one in seen]
    used = {
        (own.subset, method) for cell in cells for sets in cell.sets.values() for own in sets for method in own.methods
    }
    numbers: dict[str, int] = {}
    for part in parts:
        for method, number in part.labels.items():
            if part.part == "validation" and (part.subset, method) in used and number:
                numbers[method] = numbers.get(method, 0) + number
    if numbers:
        labels = " and ".join(f"{number:,} {method}" for method, number in numbers.items())
        cost = sum(prices.labels.get(method, 0.0) * number for method, number in numbers.items())
        found.append(f"Validation labels are not counted: {labels} of one partition, {cost:.3g} {prices.unit}.")
    return found


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"


def _check(options: BudgetOptions) -> None:
    above, up_to = f"a number above 0, at most {MOST:g}", f"a number from 0 to {MOST:g}"
    asked = [("--budget", options.budget, math.ulp(0.0), MOST, above)]
    asked += [("--hour", options.hour, 0.0, MOST, up_to)]
    asked += [("--reach", options.reach, 1.0, LARGEST_REACH, f"a number from 1 to {LARGEST_REACH:g}")]
    asked += [(f"--cost {name}", cost, 0.0, MOST, up_to) for name, cost in options.costs.items()]
    for name, value, least, most, expected in asked:
        if value is not None and not least <= value <= most:
            raise FitError(f"{name}: expected {expected}, got {value:g}")


def prices_of(plan: Plan, options: BudgetOptions) -> Prices:
    """Return what labels and training cost: as it is given, else by the spec, else as it was measured.

    Raises:
        FitError: an option that cannot be meant, or no cost is known.
    """
    _check(options)
    known = known_prices(plan)
    labels = plan.spec.experiment.data.labels
    for method in options.costs:
        if method not in labels:
            there = ", ".join(labels)
            raise FitError(f"--cost {method}: no label method of the spec ({there}).{nearest(method, labels)}")
    if known is None:
        if not options.costs:
            raise FitError(
                f"no cost of a label is known: --cost METHOD=NUMBER for {', '.join(labels)}, or `costs:` in a figure "
                "of kind pareto (docs/how-to/budget.md)"
            )
        return Prices(options.costs, options.unit or "core-hours", "--cost", options.hour)
    unit = options.unit or known.unit
    if options.costs and unit != known.unit and not {unit, known.unit} <= CORE_TIME.keys():
        known = Prices({}, unit)  # another currency: only what is given counts
    known = known.at(unit)
    origins = [known.origin] if known.labels.keys() - options.costs.keys() else []
    origins += [f"{' and '.join(options.costs)} by --cost"] if options.costs else []
    return Prices({**known.labels, **options.costs}, unit, "; ".join(origins), options.hour)
