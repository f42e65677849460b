"""When a run that ends by the regret of a decision may end, and what it trains next.

A run ends when the decision loses less than the limit with a probability of 97.5 %, by the truths that the measured
cells leave possible. A posterior does not depend on when one looks: whatever the rule by which looks are taken, the
share of runs that lose more than they say is at most that of a look, if the model holds (the likelihood principle;
Berger 1985, section 7.7). What the plug-in of the variances takes away of that is what the 97.5 % are for: 95 of 100
runs are promised (tests/evidence/README.md, "Stopping by the regret").

Pure: what was measured comes in, and what is to be done comes out.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from scipy import stats

from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.budget.foresee import Foresight
from mfsweep.analysis.budget.grid import DecisionGrid
from mfsweep.analysis.budget.regret import LEVEL, bound, expected
from mfsweep.analysis.error_model import Floats
from mfsweep.analysis.looks import Met, Round
from mfsweep.analysis.sharpen import CellChoice

SURE = 0.95
"""How sure it has to be, of the spread, that the whole grid would not suffice."""


class RegretSeen(NamedTuple):
    """What a look has seen of a decision."""

    expected: float
    """Expected loss, a share of the error (`regret.expected`)."""
    bound: float
    """The loss is below it with a probability of LEVEL."""
    below: float
    """Probability that it is below the limit."""


class OutOfReach(NamedTuple):
    """The whole grid does not suffice, or there is nothing left of it."""

    below: float
    """Probability, on average, by which the loss is below the limit when the whole grid is trained."""
    exhausted: bool
    """Whether everything has been trained."""


def seen(losses: Floats, limit: float) -> RegretSeen:
    """Return what losses (M,) say of a limit."""
    return RegretSeen(expected(losses), bound(losses), float((losses < limit).mean()))


def next_round(
    grid: DecisionGrid,
    decision: Decision,
    present: AbstractSet[int],
    have: AbstractSet[str],
    possible: AbstractSet[int],
    limit: float,
) -> tuple[RegretSeen, Round | Met | OutOfReach]:
    """Return what a look sees of a decision, and what follows.

    Args:
        grid: of the cells.
        decision: by the present ones.
        present: slots that are measured.
        have: keys of the stages that are there.
        possible: slots that are there or can be had.
        limit: on the loss, a share of the error.
    """
    free = sorted(possible - present)
    cells = grid.only(set(free)) if free else None
    foresight = Foresight(decision, cells)
    look = seen(foresight.now, limit)
    if look.below >= LEVEL:
        return look, Met()
    if not free:
        return look, OutOfReach(look.below, exhausted=True)
    every = range(len(free))
    if seen(Foresight(decision, cells, spread=_least(decision)).after(every), limit).below < LEVEL:
        return look, OutOfReach(seen(foresight.after(every), limit).below, exhausted=False)
    return look, Round(tuple(_choices(grid, foresight, free, present, have, possible, limit)))


def _choices(
    grid: DecisionGrid,
    foresight: Foresight,
    free: list[int],
    present: AbstractSet[int],
    have: AbstractSet[str],
    possible: AbstractSet[int],
    limit: float,
) -> list[CellChoice]:
    """Return what to add, best first: each what the expected regret falls most by for its price.

    All together cost at most as much as what is there, but for the first; they end where the loss is expected to be
    below the limit with the probability of a look.
    """
    place = {slot: number for number, slot in enumerate(free)}
    made: list[CellChoice] = []
    most, spent, at, beyond = grid.price(present), 0.0, foresight.now, bound(foresight.now)
    while seen(at, limit).below < LEVEL:
        mine = {slot for choice in made for slot in choice.slots}
        paid = have | grid.stages(mine)
        found: list[tuple[float, CellChoice, Floats]] = []
        for more in grid.options(present | mine, possible):
            after = foresight.after([place[slot] for slot in (*mine, *more)])
            choice = CellChoice(more, expected(at, beyond), expected(after, beyond), grid.price(more, paid))
            found.append((_worth(choice), choice, after))
        if not found:
            break
        worth, choice, after = max(found, key=lambda one: one[0])
        spent += choice.price
        if made and (spent > most or worth <= 0):
            break
        made.append(choice)
        at = after
    return made


def _worth(choice: CellChoice) -> float:
    """Return what the expected regret falls by for the price; where it does not, less than nothing, by the price."""
    fallen = choice.before - choice.after
    if fallen <= 0:
        return -choice.price
    return fallen / choice.price if choice.price > 0 else float("inf")


def _least(decision: Decision) -> float:
    """Return the factor of the standard deviations at the least spread that what was seen leaves possible."""
    freedom = max(decision.catalogue.model.fitted.freedom, 1)
    return float(np.sqrt(freedom / stats.chi2.ppf(SURE, freedom)))
