"""All designs of all ways side by side, with what they cost and what they are predicted to give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.designs import Designs, designs
from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.error_forms import ChosenForm
from mfsweep.analysis.error_model import Floats, Sized
from mfsweep.analysis.measured_cells import Way

ROUNDING = 1e-9
"""Share of a budget by which sums of costs may be off."""
HIGHEST = 700.0
"""Log error at which an interval ends at the latest: beyond it there are no numbers."""


class Design(NamedTuple):
    """Something that can be bought, and what it is predicted to give."""

    way: Way
    n_pre: int
    n_ft: int
    labels: Mapping[str, int]
    """Label method -> labels to buy."""
    cost: float
    """Labels and training together, in the decision's unit."""
    training: float
    """Training alone; 0 where that is left out."""
    error: float
    """Predicted: the geometric mean over replicates."""
    low: float
    high: float
    """95 % prediction interval of one new training on a new replicate."""
    beyond: Mapping[str, float]
    """n_pre, n_ft -> times the largest measured one, where it is larger."""
    distance: float
    """Decades of size from the nearest measured cell of its way."""


class Catalogue:
    """All designs of all ways, the cheapest first; fields are (D,) as of `Designs`, `way` a place in `ways`."""

    def __init__(self, measured: MeasuredWays, chosen: ChosenForm, prices: Prices, reach: float) -> None:
        self.measured, self.chosen, self.prices, self.reach = measured, chosen, prices, reach
        self.model = chosen.model
        self.ways: list[Way] = list(self.model.terms)
        each: list[Designs] = [designs(measured, self.model, prices, way, reach) for way in self.ways]
        way = np.repeat(np.arange(len(each)), [len(own.cost) for own in each])
        fields = [np.concatenate([own[place] for own in each]) for place in range(1, 6)]
        order = np.argsort(fields[3], kind="stable")  # by cost: of equal errors the cheapest comes first
        self.way = way[order]
        self.n_pre, self.n_ft, self.training, self.cost, self.mean = (values[order] for values in fields)

    def best(self, budget: float, cost: Floats | None = None, among: NDArray[np.bool_] | None = None) -> int | None:
        """Return the design of least predicted error that a budget pays for.

        Args:
            budget: in the prices' unit.
            cost: (D,) in place of the designs' own.
            among: (D,) the designs that are meant; default: all.
        """
        paid = (self.cost if cost is None else cost) <= budget * (1 + ROUNDING)
        if among is not None:
            paid &= among
        place = int(np.argmin(np.where(paid, self.mean, np.inf)))
        return place if paid[place] else None

    def rows(self, places: Sequence[int] | NDArray[np.int64]) -> Floats:
        """Return the rows of some designs for the error model, (D, P)."""
        found = np.zeros((len(places), len(self.model.beta)))
        for number, way in enumerate(self.ways):
            here = np.flatnonzero(self.way[places] == number)
            if len(here):
                own = np.asarray(places)[here]
                found[here] = self.model.rows(self.n_pre[own], self.n_ft[own], way.method, way.strategy)
        return found

    def high(self, places: NDArray[np.int64]) -> Floats:
        """Return the upper ends of the 95 % intervals of some designs' log errors, (D,)."""
        found = np.empty(len(places))
        for number, way in enumerate(self.ways):
            here = self.way[places] == number
            if here.any():
                sizes = self.n_pre[places[here]], self.n_ft[places[here]]
                found[here] = self.model.predict(*sizes, way.method, way.strategy).interval()[1]
        return found

    def sized(self, place: int) -> Sized:
        """Return one design as the error model names it."""
        way = self.ways[int(self.way[place])]
        return float(self.n_pre[place]), float(self.n_ft[place]), way.method, way.strategy

    def design(self, place: int) -> Design:
        """Return one design with its interval."""
        way = self.ways[int(self.way[place])]
        n_pre, n_ft = float(self.n_pre[place]), float(self.n_ft[place])
        predicted = self.model.predict(n_pre, n_ft, way.method, way.strategy)
        low, high = predicted.interval()
        cells = self.measured.cells
        members = cells.members[way]
        measured = {"n_pre": cells.n_pre[members], "n_ft": cells.n_ft[members]}
        beyond = {
            name: float(size / measured[name].max())
            for name, size in (("n_pre", n_pre), ("n_ft", n_ft))
            if size > measured[name].max()
        }
        away = np.hypot(
            *(
                np.log10(sizes / size) if size > 0 else 0 * sizes
                for size, sizes in ((n_pre, measured["n_pre"]), (n_ft, measured["n_ft"]))
            )
        )
        labels = {self.measured.target: round(n_ft)}
        labels |= {method: round(share * n_pre) for method, share in self.measured.shares[way].items()}
        return Design(
            way=way,
            n_pre=round(n_pre),
            n_ft=round(n_ft),
            labels={method: number for method, number in labels.items() if number},
            cost=float(self.cost[place]),
            training=float(self.training[place]),
            error=math.exp(predicted.mean[0]),
            low=math.exp(low[0]),
            high=math.exp(min(high[0], HIGHEST)),
            beyond=beyond,
            distance=float(away.min()),
        )

    def priced(self, method: str, factor: float) -> Floats:
        """Return the costs of all designs if a label of one method cost a factor more."""
        share = np.array([self.measured.shares[way].get(method, 0.0) for way in self.ways])
        numbers = self.n_pre * share[self.way] + (self.n_ft if method == self.measured.target else 0.0)
        return self.cost + (factor - 1) * self.prices.of_labels(method) * numbers
