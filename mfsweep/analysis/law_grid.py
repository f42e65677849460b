"""A grid of cells as a law sees it before they are trained: what half-width some of them are expected to give.

What a cell adds depends on where it stands and on how far points lie apart, not on what it will measure. With the
logarithm of the pre-training size as instrument z (gradient.py), the gradient m is found where y - m x no longer
follows z, and its variance is that of a slope on z:

    y - m x = intercept of the block + slope * z + pre-training + residual,    var(m) = var(slope) / per_z ** 2

with a *block* for each group in each replicate. All intercepts belong to one replicate, so that each replicate has an
information on the slope, and these add up.

Legend: a *slot* is a cell of the grid as the law sees it before it is trained; `have` are keys of stages that are there
or on their way, which cost nothing more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.gradient import LawSpread
from mfsweep.quantities import MINIMUM_PRETRAININGS, MINIMUM_X

Group = tuple[Any, ...]


class GridSlot(NamedTuple):
    """One cell that gives a point of the law."""

    cell: int
    """Its place among the cells of the plan."""
    group: Group
    cluster: str
    """Key of the pre-training."""
    replicate: SplitSeed
    z: float
    """Logarithm of the pre-training size."""
    stages: tuple[str, ...]
    """Keys of all stages that it needs."""


class ReplicatePart(NamedTuple):
    """What one replicate adds."""

    information: float
    clusters: int
    intercepts: int
    """That its clusters determine."""


class SlotMark(NamedTuple):
    """What a slot is but for its replicate: replicates of equal marks are worth the same."""

    z: float
    twin: int
    """Number among the pre-trainings of this size in its replicate."""
    group: int


class LawGrid:
    """The slots of one law, and what their stages cost.

    Args:
        slots: of the whole grid.
        prices: stage key -> what it costs, in any unit.
    """

    def __init__(self, slots: Sequence[GridSlot], prices: Mapping[str, float]) -> None:
        self.slots = tuple(slots)
        self.prices = prices
        self.members: dict[SplitSeed, list[int]] = {}
        for place, slot in enumerate(self.slots):
            self.members.setdefault(slot.replicate, []).append(place)
        self.marks = self._marked()
        self._known: tuple[LawSpread | None, dict[frozenset[SlotMark], ReplicatePart]] = (None, {})

    @property
    def replicates(self) -> int:
        """Return how many replicates the grid has."""
        return len(self.members)

    def stages(self, slots: Iterable[int]) -> set[str]:
        """Return the keys of the stages that some slots need."""
        return {key for place in slots for key in self.slots[place].stages}

    def price(self, slots: Iterable[int], have: AbstractSet[str] = frozenset()) -> float:
        """Return what the stages cost that some slots need and that are not there: each once."""
        return sum(self.prices[key] for key in self.stages(slots) - have)

    def half_width(self, present: Iterable[int], spread: LawSpread, alpha: float) -> float:
        """Return the expected half-width of the gradient's interval of level 1 - alpha; infinite where it has none.

        Groups that carry no line by the law's own rules do not count.
        """
        return half_width_of(self.parts(present, spread), spread, alpha)

    def parts(self, present: Iterable[int], spread: LawSpread) -> dict[SplitSeed, ReplicatePart]:
        """Return what each replicate adds, of the groups that carry a line."""
        present = set(present)
        carried = self.carried(present)
        found: dict[SplitSeed, ReplicatePart] = {}
        for replicate, places in self.members.items():
            if mine := [place for place in places if place in present and self.group(place) in carried]:
                found[replicate] = self.part(mine, spread)
        return found

    def part(self, places: Iterable[int], spread: LawSpread) -> ReplicatePart:
        """Return what some slots of one replicate add."""
        if self._known[0] != spread:
            self._known = (spread, {})
        marks = frozenset(self.marks[place] for place in places)
        if marks not in self._known[1]:
            self._known[1][marks] = _part(marks, spread)
        return self._known[1][marks]

    def carried(self, present: Iterable[int]) -> set[Group]:
        """Return the groups that carry a line."""
        of: dict[Group, list[GridSlot]] = {}
        for place in present:
            of.setdefault(self.group(place), []).append(self.slots[place])
        return {group for group, slots in of.items() if _carries(slots)}

    def group(self, place: int) -> Group:
        """Return the group of a slot."""
        return self.slots[place].group

    def _marked(self) -> list[SlotMark]:
        """Return what each slot is but for its replicate: replicates with equal marks are worth the same."""
        groups = {group: number for number, group in enumerate(dict.fromkeys(slot.group for slot in self.slots))}
        marks: list[SlotMark | None] = [None] * len(self.slots)
        for places in self.members.values():
            clusters: dict[float, dict[str, int]] = {}
            for place in places:
                slot = self.slots[place]
                alike = clusters.setdefault(slot.z, {})
                alike.setdefault(slot.cluster, len(alike))
                marks[place] = SlotMark(slot.z, alike[slot.cluster], groups[slot.group])
        return [mark for mark in marks if mark is not None]


def _carries(slots: Sequence[GridSlot]) -> bool:
    """Return whether the points of one group will carry a line (pooled.py, `refuse`)."""
    clusters = {slot.cluster for slot in slots}
    rest = len(clusters) - len({slot.replicate for slot in slots}) - 1
    return len({slot.z for slot in slots}) >= MINIMUM_X and len(clusters) >= MINIMUM_PRETRAININGS and rest >= 1


def half_width_of(parts: Mapping[SplitSeed, ReplicatePart], spread: LawSpread, alpha: float) -> float:
    """Return the expected half-width from what each replicate adds; infinite where there is no interval."""
    told = [one for one in parts.values() if one.information > 0]
    if spread.slopes > 0:
        information = sum(1 / (1 / one.information + spread.slopes) for one in told)
        freedom = len(told) - 1
    else:
        information = sum(one.information for one in told)
        freedom = sum(one.clusters - one.intercepts for one in parts.values()) - 1
    if freedom < 1 or information <= 0 or spread.per_z == 0:
        return math.inf
    return _quantile(alpha, freedom) / math.sqrt(information) / abs(spread.per_z)


def _part(marks: frozenset[SlotMark], spread: LawSpread) -> ReplicatePart:
    """Return what the slots of one replicate tell of a slope on z, each group with an intercept of its own."""
    ordered = sorted(marks)
    clusters = {mark[:2]: number for number, mark in enumerate(dict.fromkeys(mark[:2] for mark in ordered))}
    groups = {group: number for number, group in enumerate(dict.fromkeys(mark.group for mark in ordered))}
    cluster: NDArray[np.int64] = np.array([clusters[mark[:2]] for mark in ordered])
    group: NDArray[np.int64] = np.array([groups[mark.group] for mark in ordered])
    z: NDArray[np.float64] = np.array([mark.z for mark in ordered])
    noise = max(spread.residual, spread.cluster * 1e-9, 1e-300)
    covariance: NDArray[np.float64] = noise * np.eye(len(z)) + spread.cluster * (cluster[:, None] == cluster)
    design: NDArray[np.float64] = np.column_stack([np.eye(len(groups))[group], z - z.mean()])
    whole = design.T @ np.linalg.solve(covariance, design)
    free = whole[-1, -1] - whole[-1, :-1] @ np.linalg.solve(whole[:-1, :-1], whole[:-1, -1])
    # What is left of rounding where no group has two sizes is no information.
    information = float(free) if free > 1e-9 * whole[-1, -1] else 0.0
    return ReplicatePart(information, len(clusters), _together(cluster, group, len(groups)))


def _together(cluster: NDArray[np.int64], group: NDArray[np.int64], groups: int) -> int:
    """Return how many sets of groups there are that share clusters."""
    names = list(range(groups))
    for one in np.unique(cluster):
        sharing = {names[int(number)] for number in group[cluster == one]}
        names = [min(sharing) if name in sharing else name for name in names]
    return len(set(names))


@functools.lru_cache(maxsize=4096)
def _quantile(alpha: float, freedom: float) -> float:
    return float(stats.t.isf(alpha / 2, freedom))
