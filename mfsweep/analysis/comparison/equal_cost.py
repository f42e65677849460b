"""The error that each strategy reaches for a cost: of training as it was measured, or of labels.

Of each strategy the settings count that no other of its own beats in both cost and error, whatever their labels.
Between two of them that lie next to each other the logarithm of the error is taken to follow the logarithm of the cost,
in each replicate by itself; beyond the cheapest and the dearest nothing is said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mfsweep.analysis.balance import Replicate
from mfsweep.analysis.comparison.blocks import EQUAL, ComparedBlock, ComparedRow, EqualBasis, compared, ordered
from mfsweep.analysis.comparison.label_words import labels_between
from mfsweep.analysis.comparison.settings import StrategySetting, family_names, member
from mfsweep.analysis.gain import FinishedCell
from mfsweep.analysis.selection import MeasuredCell

APART = 1.25
"""Ratio of two costs below which a second table would say the same."""
SHORT, LONG = 1.5, 4.0
"""Ratios of the ends of a range up to which its middle, or its ends, say all."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class EqualIn:
    """In what strategies are made equal."""

    basis: EqualBasis
    cost: Callable[[StrategySetting], float]
    words: Callable[[float], str]
    """A cost in words."""


class CostKnot(NamedTuple):
    """One setting of a curve."""

    cost: float
    setting: StrategySetting
    errors: Mapping[Replicate, FinishedCell]
    """What has converged (docs/fairness.md#rule-10); one a replicate."""

    @property
    def mean(self) -> float:
        """Return the mean logarithm of the error."""
        return statistics.fmean(math.log(result.error) for result in self.errors.values())


def at_equal_cost(
    settings: Sequence[StrategySetting], against: str, y: str, equal: EqualIn
) -> tuple[list[ComparedBlock], list[str]]:
    """Return a block for each cost at which two strategies can be compared, and what there is to say of the others.

    Args:
        settings: of all strategies.
        against: name of the strategy that the others are compared with.
        y: path of the metric.
        equal: what is made equal.
    """
    names = family_names(settings)
    blocks: list[ComparedBlock] = []
    notes: list[str] = []
    for family in dict.fromkeys(setting.family for setting in settings):
        curves = _curves([setting for setting in settings if setting.family == family], equal)
        if len(curves) < 2:
            continue
        reference = against if against in curves else next(iter(curves))
        costs = _costs(curves, reference)
        blocks += [_block(names[family], curves, reference, cost, y, equal) for cost in costs]
        notes += _apart(names[family], curves, reference, equal)
    return blocks, notes


def _curves(members: Sequence[StrategySetting], equal: EqualIn) -> dict[str, list[CostKnot]]:
    """Return strategy -> its front, by growing cost."""
    every: dict[str, list[CostKnot]] = {}
    for setting in members:
        errors = {(result.seed, result.split_seed): result for result in setting.outcomes if result.converged}
        if errors and (cost := equal.cost(setting)) > 0:
            every.setdefault(setting.base, []).append(CostKnot(cost, setting, errors))
    fronts: dict[str, list[CostKnot]] = {}
    for name, knots in every.items():
        front = fronts.setdefault(name, [])
        for knot in sorted(knots, key=lambda knot: (knot.cost, knot.mean)):
            if not front or knot.mean < front[-1].mean:
                front.append(knot)
    return fronts


def _costs(curves: Mapping[str, Sequence[CostKnot]], reference: str) -> list[float]:
    """Return the costs to compare at: within the range that all share, else the middles of what pairs share."""
    low, high = _span(curves.values())
    if high >= low:
        middle = [math.sqrt(low * high)]
        return middle if high < SHORT * low else [low, *(middle if high > LONG * low else []), high]
    costs: list[float] = []
    for name, knots in curves.items():
        low, high = _span([knots, curves[reference]])
        middle = math.sqrt(low * high)
        if (
            name != reference
            and _overlap(knots, curves[reference])
            and all(max(middle, cost) / min(middle, cost) > APART for cost in costs)
        ):
            costs.append(middle)
    return sorted(costs)


def _span(curves: Iterable[Sequence[CostKnot]]) -> tuple[float, float]:
    """Return the least and the greatest cost that some curves share; the first above the second where they do not."""
    every = list(curves)
    return max(knots[0].cost for knots in every), min(knots[-1].cost for knots in every)


def _block(
    family: str, curves: Mapping[str, Sequence[CostKnot]], reference: str, cost: float, y: str, equal: EqualIn
) -> ComparedBlock:
    words = equal.words(cost)
    rows = {name: _row(number, name, knots, cost, equal) for number, (name, knots) in enumerate(curves.items())}
    base = rows[reference]
    where = f"at {EQUAL[equal.basis]}, {words}"
    rest = [
        compared(row, base, [*row.members, *base.members], y, where, None) if row.members and base.members else row
        for name, row in rows.items()
        if name != reference and _overlap(curves[name], curves[reference])
    ]
    return ComparedBlock(equal.basis, family, words, ordered(base, rest))


class _Place(NamedTuple):
    """Where on a curve a cost lies: between two knots, or on one that is both."""

    below: CostKnot
    above: CostKnot
    share: float
    """How far from one to the other, in the logarithm of the cost."""

    def between(self, below: float, above: float) -> float:
        """Return what is between two values as the cost is between the knots, in logarithms."""
        return math.exp((1 - self.share) * math.log(below) + self.share * math.log(above))


def _place(knots: Sequence[CostKnot], cost: float) -> _Place | None:
    """Return where a cost lies on a curve; None beyond its ends."""
    below = [knot for knot in knots if knot.cost <= cost * (1 + ROUNDING)]
    above = [knot for knot in knots if knot.cost >= cost / (1 + ROUNDING)]
    if not below or not above:
        return None
    ends = below[-1], above[0]
    span = math.log(ends[1].cost / ends[0].cost)
    return _Place(*ends, math.log(cost / ends[0].cost) / span if span > 0 else 0.0)


def _row(number: int, name: str, knots: Sequence[CostKnot], cost: float, equal: EqualIn) -> ComparedRow:
    place = _place(knots, cost)
    if place is None:
        return ComparedRow(name, {}, (), None, note=f"measured {_range(knots, equal)} only")
    below, above, _ = place
    used = [knot.setting.target_first for knot in (below, above)]
    seconds = cost
    if equal.basis != "compute":
        seconds = place.between(below.setting.work.seconds, above.setting.work.seconds)
    if below is above:
        return ComparedRow(name, used[0], tuple(_members(number, place)), seconds)
    note = labels_between(*used)
    return ComparedRow(name, {}, tuple(_members(number, place)), seconds, note=note)


def _members(number: int, place: _Place) -> Iterator[MeasuredCell]:
    """Yield the error of each replicate at a place of a curve."""
    below, above, share = place
    for replicate in sorted(below.errors.keys() & above.errors.keys(), key=str):
        first, second = below.errors[replicate], above.errors[replicate]
        key = first.key if below is above else f"{first.key}/{second.key}/{share:.6f}"
        yield member(number, first.cell, first, key, place.between(first.error, second.error))


def _range(knots: Sequence[CostKnot], equal: EqualIn) -> str:
    low, high = knots[0].cost, knots[-1].cost
    if high <= low * (1 + ROUNDING):
        return f"at {equal.words(low)}"
    return f"from {equal.words(low)} to {equal.words(high)}"


def _apart(family: str, curves: Mapping[str, Sequence[CostKnot]], reference: str, equal: EqualIn) -> Iterator[str]:
    """Yield a sentence on the strategies whose costs have nothing in common with the reference's."""
    apart = {name: knots for name, knots in curves.items() if not _overlap(knots, curves[reference])}
    if apart:
        where = f" ({family})" if family else ""
        measured = ", ".join(f"{name} {_range(knots, equal)}" for name, knots in apart.items())
        yield (
            f"{reference} was measured {_range(curves[reference], equal)}{where}, and cannot be compared at "
            f"{EQUAL[equal.basis]} with {measured}: add sizes until they overlap, or name another strategy to compare "
            "with."
        )


def _overlap(one: Sequence[CostKnot], other: Sequence[CostKnot]) -> bool:
    low, high = _span([one, other])
    return high >= low
