"""Which cells of a grid narrow the interval of a law's gradient most for what they cost: greedy, c-optimal.

Pure. `have` are keys of stages that are there or on their way: they cost nothing more. What cells are expected to give
stands in law_grid.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.gradient import LawSpread
from mfsweep.analysis.law_grid import Group, LawGrid, half_width_of
from mfsweep.quantities import MINIMUM_X

LEAST_SPANS = (0.0, 0.7, 1.0)
"""Shares of the span of sizes."""
GridPlaces = frozenset[int]
"""Places of slots in their grid."""


class CellChoice(NamedTuple):
    """Cells that are chosen together."""

    slots: tuple[int, ...]
    before: float
    """Expected half-width without them; infinite where the law has no interval yet."""
    after: float
    price: float
    """What the missing stages cost."""


class DesignProblem(NamedTuple):
    """What stays as it is while cells are chosen."""

    grid: LawGrid
    possible: GridPlaces
    """Slots that can be had."""
    spread: LawSpread
    """What points lie apart by."""
    alpha: float
    """Share of intervals that may miss."""

    def half_width(self, present: AbstractSet[int]) -> float:
        """Return the expected half-width of some slots."""
        return self.grid.half_width(present, self.spread, self.alpha)


def first_design(
    grid: LawGrid, spread: LawSpread, have: AbstractSet[str], possible: GridPlaces
) -> tuple[int, ...] | None:
    """Return the slots of a first design that identifies the law, or None where no design of the grid does.

    They are both ends and the middle of the sizes, in the groups at the ends of each numeric axis (all of another
    axis), in whole replicates: two of them, those with the least left to train; more replicates, then more sizes,
    where the law's rules ask for them.
    """
    groups = _ends(grid)
    sizes = max((len({grid.slots[place].z for place in own}) for own in grid.members.values()), default=0)
    for number in range(MINIMUM_X, sizes + 1):
        whole = [_spanning(grid, own, groups, number, possible) for own in grid.members.values()]
        whole = sorted((one for one in whole if one), key=lambda one: round(grid.price(one, have), 9))
        for replicates in range(min(2, len(whole)), len(whole) + 1):
            chosen = tuple(sorted(place for one in whole[:replicates] for place in one))
            if math.isfinite(grid.half_width(chosen, spread, 0.5)):
                return chosen
    return None


def next_cells(
    problem: DesignProblem, present: AbstractSet[int], have: AbstractSet[str], target: float, limit: float
) -> list[CellChoice]:
    """Return what to add, best first, until the expected half-width meets the target.

    Each is the one that the square of the half-width falls most by for its price. Replicates are few, and what is
    worth most at first may use them up on sizes near each other: of such ways with new pairs of sizes at least so
    far apart (`LEAST_SPANS`), the one that meets the target for the least is taken.

    Args:
        problem: of the law.
        present: slots that are there; their interval has bounds.
        have: keys of the stages that are there.
        target: half-width.
        limit: on the price; the first is chosen in any case.
    """
    plans = [_greedy(problem, present, have, target, least) for least in LEAST_SPANS]
    made = min(plans, key=lambda plan: _cost(plan, target))
    kept, spent = made[:1], 0.0
    for choice in made[1:]:
        spent += choice.price
        if kept[0].price + spent > limit:
            break
        kept.append(choice)
    return kept


def _greedy(
    problem: DesignProblem, present: AbstractSet[int], have: AbstractSet[str], target: float, least: float
) -> list[CellChoice]:
    """Return choices, each the one worth most for its price, until they meet the target or nothing helps."""
    made: list[CellChoice] = []
    at = problem.half_width(present)
    while at >= target:
        best = max(_options(problem, present, have, at, least), key=_worth, default=None)
        if best is None or best.after >= at:
            break
        made.append(best)
        present, have, at = present | set(best.slots), have | problem.grid.stages(best.slots), best.after
    return made


def _options(
    problem: DesignProblem, present: AbstractSet[int], have: AbstractSet[str], at: float, least: float
) -> Iterator[CellChoice]:
    """Yield what may be added to slots of the half-width `at`."""
    grid, possible, spread, alpha = problem
    carried = grid.carried(present)
    parts = grid.parts(present, spread)
    free = possible - present
    for replicate in _unlike(grid, present, have, free, carried):
        there = {place for place in grid.members[replicate] if place in present and grid.group(place) in carried}
        for more in _within(grid, replicate, present, free, carried, least):
            changed = {**parts, replicate: grid.part(there | set(more), spread)}
            yield CellChoice(more, at, half_width_of(changed, spread, alpha), grid.price(more, have))
    trained = {grid.slots[place].cluster for place in present}
    for group in dict.fromkeys(slot.group for slot in grid.slots if slot.group not in carried):
        more = tuple(
            place for place in sorted(free) if grid.group(place) == group and grid.slots[place].cluster in trained
        )
        if more:
            yield CellChoice(more, at, problem.half_width(present | set(more)), grid.price(more, have))


def _within(
    grid: LawGrid,
    replicate: SplitSeed,
    present: AbstractSet[int],
    free: AbstractSet[int],
    carried: AbstractSet[Group],
    least: float,
) -> Iterator[tuple[int, ...]]:
    """Yield what may be added together in a replicate.

    That is a pre-training, or two new ones, in one group or in all; or one group of what is pre-trained.
    Two new ones lie apart by at least a share `least` of the span of new ones.
    """
    own: dict[str, list[int]] = {}
    for place in grid.members[replicate]:
        if place in free and grid.group(place) in carried:
            own.setdefault(grid.slots[place].cluster, []).append(place)
    begun = {grid.slots[place].cluster for place in grid.members[replicate] if place in present}
    beside: dict[Group, list[int]] = {}
    for cluster in own.keys() & begun:
        for place in own[cluster]:
            beside.setdefault(grid.group(place), []).append(place)
    yield from (tuple(sorted(places)) for places in beside.values() if len(places) > 1)
    for places in own.values():
        yield tuple(places)
        if len(places) > 1:
            yield from ((place,) for place in places)
    new = [places for cluster, places in own.items() if cluster not in begun]
    new.sort(key=lambda places: grid.slots[places[0]].z)
    span = grid.slots[new[-1][0]].z - grid.slots[new[0][0]].z if new else 0.0
    pairs = [(low, new[-1]) for low in new[:-1]] + [(new[0], high) for high in new[1:-1]]
    for low, high in pairs:
        if grid.slots[high[0]].z - grid.slots[low[0]].z < least * span:
            continue
        yield (*low, *high)
        other = {grid.group(place): place for place in high}
        if len(low) > 1:
            yield from ((place, other[grid.group(place)]) for place in low if grid.group(place) in other)


def _unlike(
    grid: LawGrid,
    present: AbstractSet[int],
    have: AbstractSet[str],
    free: AbstractSet[int],
    carried: AbstractSet[Group],
) -> list[SplitSeed]:
    """Return the replicates, of those in which all is alike the first."""
    first: dict[Any, SplitSeed] = {}
    for replicate, places in grid.members.items():
        mine = [place for place in places if grid.group(place) in carried]
        left = [place for place in mine if place in free]
        state = (
            frozenset(grid.marks[place] for place in mine if place in present),
            frozenset(grid.marks[place] for place in left),
            round(grid.price(left, have), 9),
        )
        if left:
            first.setdefault(state, replicate)
    return list(first.values())


def _spanning(
    grid: LawGrid, places: Sequence[int], groups: AbstractSet[Group], number: int, possible: GridPlaces
) -> tuple[int, ...]:
    """Return slots of a replicate at sizes over the whole span, evenly; none where a group has too few sizes."""
    chosen: list[int] = []
    for group in groups:
        of_size: dict[float, int] = {}
        for place in places:
            if grid.group(place) == group and place in possible:
                of_size.setdefault(grid.slots[place].z, place)
        if len(of_size) < MINIMUM_X:
            return ()
        chosen += _evenly(of_size, number)
    return tuple(sorted(chosen))


def _ends(grid: LawGrid) -> set[Group]:
    groups = list(dict.fromkeys(slot.group for slot in grid.slots))
    kept = [_outermost(values) for values in zip(*groups, strict=True)]
    ends = {group for group in groups if all(value in of for value, of in zip(group, kept, strict=True))}
    return ends or set(groups)


def _outermost(values: Sequence[Any]) -> set[Any]:
    """Return the least and the greatest of numbers, all of anything else."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return {min(values), max(values)} if numbers else set(values)


def _evenly(of_size: Mapping[float, int], number: int) -> list[int]:
    """Return the slots nearest to places spread evenly over the sizes, the ends first."""
    left = dict(of_size)
    wanted = np.linspace(min(of_size), max(of_size), number)[[0, -1, *range(1, number - 1)]]
    return [left.pop(min(left, key=lambda one: abs(one - z))) for z in wanted[: len(of_size)]]


def _worth(choice: CellChoice) -> tuple[float, float]:
    """Return what the square of the half-width falls by for the price; of what costs alike, what is left of it."""
    fallen = choice.before**2 - choice.after**2
    return fallen / choice.price if choice.price > 0 else math.copysign(math.inf, fallen), -choice.after


def _cost(plan: Sequence[CellChoice], target: float) -> tuple[float, float]:
    """Return what ways to a target are compared by: those that meet it by their price, others by how near they come."""
    price = sum(choice.price for choice in plan)
    return (0.0, price) if plan and plan[-1].after < target else (plan[-1].after if plan else math.inf, price)
