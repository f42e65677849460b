"""Measured cells, prices and a budget -> what to buy, how sure that is, and what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.budget.catalogue import ROUNDING, Catalogue, Design
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.budget.regret import TELLING, expected, losses, truths
from mfsweep.analysis.error_forms import choose
from mfsweep.analysis.error_model import Floats
from mfsweep.analysis.measured_cells import Way
from mfsweep.errors import FitError
from mfsweep.quantities import count

REACH = 10.0
"""Times the largest measured size that a design may have."""
MORE = 10.0
"""Times the budget that the answer looks ahead."""
STEPS = 4
"""Budgets of the front, for each power of ten."""
LADDER = 10.0 ** (np.arange(1, 21) / 10)
"""Factors of a price that are tried for another answer: up to 100."""
COMPARED = 4000
"""Designs that the regret is taken over, at most."""
CHUNK = 2000
"""Designs whose intervals are taken at a time."""


class PriceChange(NamedTuple):
    """A price at which the answer would be another."""

    method: str
    price: float
    """Cost of one label, in the decision's unit."""
    factor: float
    """It over the price as it is."""
    way: Way
    """What would be taken then."""


class TrainedSetting(NamedTuple):
    """A setting that was measured."""

    way: Way
    n_pre: int
    n_ft: int
    cost: float
    error: float
    """Geometric mean of its cells."""
    cells: int


@dataclass(frozen=True)
class Decision:
    """What to buy for a budget."""

    catalogue: Catalogue
    budget: float
    """In the prices' unit."""
    place: int
    """Where the best design stands in the catalogue."""

    @property
    def measured(self) -> MeasuredWays:
        """Return the cells that it rests on."""
        return self.catalogue.measured

    @property
    def prices(self) -> Prices:
        """Return what labels and training cost."""
        return self.catalogue.prices

    @property
    def best(self) -> Design:
        """Return what to buy."""
        return self.catalogue.design(self.place)

    @cached_property
    def runner_up(self) -> Design | None:
        """Return the best of another way; None where there is one way only, or no other is paid for."""
        return None if self._other is None else self.catalogue.design(self._other)

    @property
    def probability(self) -> float | None:
        """Return the probability that the best one's error is below the runner-up's."""
        if self._other is None:
            return None
        return self.catalogue.model.below(self.catalogue.sized(self.place), self.catalogue.sized(self._other))

    @cached_property
    def _other(self) -> int | None:
        catalogue = self.catalogue
        return catalogue.best(self.budget, among=catalogue.way != catalogue.way[self.place])

    @property
    def regret(self) -> float:
        """Return the expected error of the best one over that of the truly best, less 1 (`regret.expected`)."""
        return expected(self._losses)

    @property
    def median_loss(self) -> float:
        """Return the loss that is as likely exceeded as not."""
        return float(np.median(self._losses))

    @property
    def tells_regret(self) -> bool:
        """Return whether there are degrees of freedom enough to tell the expected loss."""
        return self.catalogue.model.fitted.freedom >= TELLING

    @cached_property
    def _losses(self) -> Floats:
        places, chosen = self.compared
        return losses(truths(self.catalogue, places).errors, chosen)

    @cached_property
    def compared(self) -> tuple[NDArray[np.int64], int]:
        """Return the designs that the regret is taken over, places in the catalogue, and which of them is taken."""
        catalogue = self.catalogue
        paid = np.flatnonzero(catalogue.cost <= self.budget * (1 + ROUNDING))
        near = paid[np.argsort(catalogue.mean[paid])]
        each = COMPARED // len(catalogue.ways)
        compared = [near[catalogue.way[near] == way][:each] for way in range(len(catalogue.ways))]
        places = np.unique(np.append(np.concatenate(compared), self.place))
        return places, int(np.searchsorted(places, self.place))

    @cached_property
    def more(self) -> Design:
        """Return the best of MORE times the budget."""
        place = self.catalogue.best(MORE * self.budget)
        assert place is not None
        return self.catalogue.design(place)

    @cached_property
    def front(self) -> tuple[Design, ...]:
        """Return the best of growing budgets up to MORE times this one, each dearer and better than the one before."""
        catalogue, highest = self.catalogue, MORE * self.budget
        least = min(float(catalogue.cost[catalogue.cost > 0].min()), highest)
        number = max(2, math.ceil(STEPS * math.log10(highest / least)) + 1)
        found: list[int] = []
        for budget in np.geomspace(least, highest, number).tolist():
            place = catalogue.best(budget)
            if place is not None and (not found or catalogue.mean[place] < catalogue.mean[found[-1]]):
                found.append(place)
        return tuple(map(catalogue.design, found))

    @cached_property
    def trained(self) -> tuple[TrainedSetting, ...]:
        """Return the measured settings, the cheapest first."""
        return tuple(sorted(_trained(self.catalogue), key=lambda one: (one.cost, one.error)))

    @property
    def best_trained(self) -> TrainedSetting | None:
        """Return the measured setting of least error that the budget pays for; None where it pays for none."""
        paid = [one for one in self.trained if one.cost <= self.budget * (1 + ROUNDING)]
        return min(paid, key=lambda one: one.error, default=None)

    @cached_property
    def changes(self) -> tuple[PriceChange, ...]:
        """Return for each label method the nearest price at which another way would be taken."""
        methods = [self.measured.target, *(method for own in self.measured.shares.values() for method in own)]
        found = (self._change(method) for method in dict.fromkeys(methods) if self.prices.of_labels(method) > 0)
        return tuple(one for one in found if one)

    def _change(self, method: str) -> PriceChange | None:
        catalogue = self.catalogue
        for step in LADDER.tolist():
            for factor in (step, 1 / step):
                other = catalogue.best(self.budget, catalogue.priced(method, factor))
                if other is not None and catalogue.way[other] != catalogue.way[self.place]:
                    price = factor * self.prices.of_labels(method)
                    return PriceChange(method, price, factor, catalogue.ways[catalogue.way[other]])
        return None

    def cheapest(self, error: float) -> tuple[Design | None, Design | None]:
        """Return the cheapest design that is as likely below a target as above it, and the one that is surely below.

        Args:
            error: the target, in the unit of the errors.
        """
        catalogue, highest = self.catalogue, math.log(error) + ROUNDING
        below = np.flatnonzero(catalogue.mean <= highest)
        if not len(below):
            return None, None
        for start in range(0, len(below), CHUNK):
            some = below[start : start + CHUNK]  # the cheapest first
            sure = some[catalogue.high(some) <= highest]
            if len(sure):
                return catalogue.design(int(below[0])), catalogue.design(int(sure[0]))
        return catalogue.design(int(below[0])), None

    def at(self, budget: float) -> Decision:
        """Return the decision for another budget; errors as of `decide`."""
        place = self.catalogue.best(budget)
        if place is None:
            raise FitError(_too_small(self.catalogue, budget))
        return Decision(self.catalogue, budget, place)


def decide(measured: MeasuredWays, prices: Prices, budget: float | None = None, *, reach: float = REACH) -> Decision:
    """Return what to buy.

    Args:
        measured: the cells of a study.
        prices: of labels and training.
        budget: in the prices' unit. Default: what the dearest measured cell has cost.
        reach: times the largest measured size that a design may have.

    Raises:
        FitError: sizes that were never varied, too few cells, a cost that nobody knows, nothing that costs anything, a
            budget that buys nothing.
    """
    chosen = choose(measured.cells)
    if all(len(terms) == 1 for terms in chosen.model.terms.values()):
        raise FitError("every way of training was measured at one size: how errors follow sizes takes at least two")
    catalogue = Catalogue(measured, chosen, prices, reach)
    if not catalogue.cost.any():
        raise FitError("every label and all training cost nothing: there is nothing to decide")
    if budget is None:
        budget = max(one.cost for one in _trained(catalogue))
    place = catalogue.best(budget)
    if place is None:
        raise FitError(_too_small(catalogue, budget))
    return Decision(catalogue, budget, place)


def _trained(catalogue: Catalogue) -> Iterator[TrainedSetting]:
    cells = catalogue.measured.cells
    for number, way in enumerate(catalogue.ways):
        settings: dict[tuple[float, float], list[int]] = {}
        for place in cells.members[way].tolist():
            settings.setdefault((float(cells.n_pre[place]), float(cells.n_ft[place])), []).append(place)
        for (n_pre, n_ft), places in settings.items():
            there = (catalogue.way == number) & (catalogue.n_pre == n_pre) & (catalogue.n_ft == n_ft)
            if there.any():
                cost = float(catalogue.cost[there][0])
                error = float(np.exp(np.log(cells.error[places]).mean()))
                yield TrainedSetting(way, round(n_pre), round(n_ft), cost, error, len(places))


def _too_small(catalogue: Catalogue, budget: float) -> str:
    unit, target = catalogue.prices.unit, catalogue.measured.target
    price = catalogue.prices.of_labels(target)
    least = int(np.argmin(catalogue.cost))
    way = catalogue.ways[int(catalogue.way[least])]
    said = f"{budget:g} {unit} buy nothing that these cells can speak of"
    if price > budget:
        said += f": one {target} label costs {price:g}"
    sizes = f"{count(round(catalogue.n_ft[least]), f'{target} label')}"
    return f"{said}. The cheapest design is {way} with {sizes}, for {catalogue.cost[least]:.3g} {unit}"
