"""What a run until `budget.regret` aims at: how much worse the recommended spending may be than the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mfsweep.analysis.budget import say
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.decide import Decision, decide
from mfsweep.analysis.budget.grid import DecisionGrid
from mfsweep.analysis.budget.measured import MeasuredWays, measured
from mfsweep.analysis.budget.regret import LEVEL
from mfsweep.analysis.budget.rounds import OutOfReach, RegretSeen, next_round
from mfsweep.analysis.looks import Met
from mfsweep.analysis.records import Records
from mfsweep.analysis.sharpen import CellChoice
from mfsweep.errors import FitError, SpecError, nearest
from mfsweep.plan.condition import REGRET, Condition
from mfsweep.plan.metrics import measured_by
from mfsweep.prepare import Plan
from mfsweep.quantities import RESULT, MetricPath, count
from mfsweep.records import CellRecord, LookRecord
from mfsweep.sweep.aims import Outcome, Step, TrainedSoFar
from mfsweep.sweep.budget import BudgetOptions, default_error, prices_of
from mfsweep.sweep.expected_cells import ExpectedCells
from mfsweep.sweep.prices import StagePrices

MUCH = 10.0
"""Loss beyond which nobody needs its number."""


class RegretAim:
    """The regret of a decision by the trained cells of a grid.

    Args:
        plan: of the whole grid.
        condition: that names it.
        options: of the decision.

    Raises:
        SpecError: no budget is named, or no part of this grid tells how errors follow sizes.
        FitError: an option that cannot be meant, a cost that nobody knows, a budget that buys nothing.
    """

    def __init__(self, plan: Plan, condition: Condition, options: BudgetOptions) -> None:
        self._plan, self._condition, self._asked = plan, condition, options
        if options.budget is None:
            raise SpecError(
                f"--until {condition.text!r}: got no --budget, expected --budget NUMBER, with --unit if it is not that "
                "of the spec's costs: a regret is of what a sum of money should buy (docs/how-to/until.md)"
            )
        if options.targets:
            raise SpecError(
                f"--until {condition.text!r}: got a target error, but a regret is of a budget: leave it out"
            )
        self._budget = options.budget
        self._prices: Prices = prices_of(plan, options)
        self._cells = plan.cells()
        self._path = options.error or default_error(plan, self._cells)
        self._require_error()
        self._planned: MeasuredWays = measured(ExpectedCells(plan, self._cells), self._cells, self._path)
        self._place = {key: place for place, key in enumerate(self._planned.keys)}
        self._stages = [frozenset(node.key for node in plan.graph.lineage(key)) for key in self._planned.keys]
        self._cell_of = _cells_of(self._cells)
        costs = {method: self._prices.of_labels(method) for method in self._methods()}
        self.options, self.nothing = options.words(), "no decision yet"
        known = ", ".join(f"{method} {cost:g}" for method, cost in costs.items())
        hour = self._prices.hour
        self.named = (
            f"{REGRET} of {self._budget:g} {self._prices.unit} on {self._planned.path} ({known}"
            f"{'' if hour is None else f', hour {hour:g}'}, reach {options.reach:g})"
        )
        self._require_design(costs)

    def follow(self, now: TrainedSoFar) -> tuple[LookRecord, list[Step] | Outcome]:
        """Return what the records say, and the cells to be trained next, or why it ends."""
        grid = self._grid(now.prices)
        whole = grid.price(range(len(grid)))
        try:
            trained = self._measured(now)
        except FitError as error:
            return LookRecord(cells=0, price=0.0), Outcome(False, f"{self._condition.text}: not to be told. {error}")
        found, device = trained
        present = frozenset(found)
        left = {
            place
            for place, keys in enumerate(self._stages)
            if place not in present and not now.lost.intersection(keys) and not now.have.issuperset(keys)
        }
        possible = present | left
        spent = grid.price(present)
        took = f"It took {now.prices.text(spent)} of the {now.prices.text(whole)} that all its cells cost"
        took += f" ({spent / whole:.0%})." if whole else "."
        look = LookRecord(cells=len(present), price=spent)
        first = grid.first_design(now.have, possible)
        if not grid.identifies(present, first) and first - present:
            slots = tuple(sorted(first - present))
            return look, [self._step(CellChoice(slots, math.inf, math.inf, grid.price(slots, now.have)))]
        try:
            decision = decide(grid.trained(found, device), self._prices, self._budget, reach=self._asked.reach)
        except FitError as error:
            return look, Outcome(False, f"{self._condition.text}: not to be told. {error}. {took}")
        seen, said = next_round(grid, decision, present, now.have, possible, self._condition.target)
        value = seen.expected if decision.tells_regret else None
        look = LookRecord(cells=len(present), value=value, low=0.0, high=seen.bound, price=spent)
        if isinstance(said, Met | OutOfReach):
            return look, Outcome(isinstance(said, Met), f"{self._ended(said, seen, decision)} {took}")
        return look, [self._step(choice) for choice in said.choices]

    def expect(self, now: TrainedSoFar) -> str:
        """Return what the rounds go by: how many there are to be depends on what the cells measure."""
        whole = self._grid(now.prices).price(range(len(self._stages)))
        return (
            f"What follows depends on what these measure; all {count(len(self._stages), 'cell')} of the decision cost "
            f"{now.prices.text(whole)}."
        )

    def standing(self, look: LookRecord) -> str | None:
        """Return the expected loss, and what it is below; None before there is a decision."""
        if look.high is None:
            return None
        value = "too few cells to tell the expected loss" if look.value is None else f"loss {_share(look.value)}"
        return f"{value}, {_bounded(look.high, 'below', 'with {} probability')}"

    def effect(self, step: Step) -> str:
        """Return the expected losses before and after."""
        if math.isinf(step.before):
            return "identify the model"
        return f"loss {_share(step.before)} -> {_share(step.after)} expected"

    def _grid(self, prices: StagePrices) -> DecisionGrid:
        return DecisionGrid(self._planned, self._stages, prices.of)

    def _measured(self, now: TrainedSoFar) -> tuple[dict[int, tuple[float, float]], str]:
        """Return slot -> error and hours of training of what is trained, and on which device that was.

        Raises:
            FitError: none of what is trained can be used, with the reason.
        """
        if not any(key in now.have for key in self._place):
            return {}, "cpu"
        found = measured(Records(self._plan.store, self._cells), self._cells, self._path)
        each = zip(found.keys, found.cells.error.tolist(), found.hours.tolist(), strict=True)
        return {self._place[key]: (error, hours) for key, error, hours in each if key in self._place}, found.device

    def _step(self, choice: CellChoice) -> Step:
        cells = tuple(self._cell_of[self._planned.keys[place]] for place in choice.slots)
        return Step(cells, choice.before, choice.after, choice.price)

    def _methods(self) -> list[str]:
        shares = self._planned.shares.values()
        return list(dict.fromkeys([self._planned.target, *(method for own in shares for method in own)]))

    def _require_error(self) -> None:
        """Refuse an error that no result will have: now, and not when all is trained."""
        path = MetricPath.parse(self._path)._replace(stage=RESULT)
        names = measured_by(self._plan.spec, self._plan.graph)
        known = list(dict.fromkeys(name for cell in self._cells for name in names[cell.stages[cell.result]]))
        if not path.among(known):
            have = [f"{RESULT}.{name}" for name in known]
            raise FitError(
                f"--error {self._path}: no result will have it; they will have {', '.join(have)}."
                f"{nearest(str(path), have)}"
            )

    def _require_design(self, costs: Mapping[str, float]) -> None:
        """Refuse what no part of the grid can answer."""
        grid = self._grid(StagePrices(dict.fromkeys(self._plan.graph.nodes, 0.0), "steps"))
        if not any(costs.values()) and self._prices.of_hour("cpu") in (None, 0.0):
            raise FitError("every label and all training cost nothing: there is nothing to decide")
        if grid.freedom(frozenset(range(len(grid)))) < 1 or not grid.varies():
            ways = "; ".join(dict.fromkeys(map(str, grid.way)))
            raise SpecError(
                f"--until {self._condition.text!r}: no part of this grid tells how errors follow sizes: it has "
                f"{count(len(grid), 'cell')} of {ways}, in {count(len(grid.members), 'replicate')}. Add values to the "
                "axes of sizes, or to an axis `seed`, `split_seed` or `fold`"
            )
        cells, shares = self._planned.cells, self._planned.shares
        least = min(
            costs[self._planned.target] * float(cells.n_ft[place])
            + sum(share * costs[method] for method, share in shares[way].items()) * float(cells.n_pre[place])
            for place, way in enumerate(grid.way)
        )
        if least > self._budget:
            raise FitError(
                f"--budget {self._budget:g}: {self._budget:g} {self._prices.unit} buy nothing that these cells can "
                f"speak of: the labels of the cheapest cost {least:.3g}"
            )

    def _ended(self, said: Met | OutOfReach, seen: RegretSeen, decision: Decision) -> str:
        bounded = _bounded(seen.bound, "less than", "with a probability of {}")
        lost = f"{_share(seen.expected)} on average, and {bounded}"
        if not decision.tells_regret:
            lost = f"{bounded} (too few cells to tell the expected loss)"
        loses = f"{say.buy(decision)} Against the best that this money buys that loses {lost}"
        if isinstance(said, Met):
            return f"{self._condition.text}: met. {loses}, so that 95 of 100 runs which end by it lose less than asked."
        if said.exhausted:
            gives = f"all of it is trained, and the loss is below with a probability of {seen.below:.0%}"
        else:
            gives = f"all of it is expected to bring the loss below with a probability of {said.below:.0%}"
        return f"{self._condition.text}: cannot be met within this grid, {gives}. {loses}."


def _share(loss: float) -> str:
    return f"{loss:.2%}" if loss < MUCH else f"more than {MUCH:,.0%}"


def _bounded(bound: float, below: str, probability: str) -> str:
    if bound >= MUCH:
        return f"perhaps {_share(bound)}"
    return f"{below} {bound:.2%} {probability.format(f'{LEVEL:.1%}')}"


def _cells_of(cells: Sequence[CellRecord]) -> dict[str, int]:
    """Return key of a result -> the first cell that has it."""
    found: dict[str, int] = {}
    for place, cell in enumerate(cells):
        found.setdefault(cell.stages[cell.result], place)
    return found
