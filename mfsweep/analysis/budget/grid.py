"""The cells of a grid as a decision sees them before they are trained: ways, sizes, what they share, what they cost.

Legend: a *slot* is a cell of the grid as the error model sees it; `N` of them. `have` are keys of stages that are there
or on their way, which cost nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import numpy as np

from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.error_forms import DEFAULT
from mfsweep.analysis.error_model import effects
from mfsweep.analysis.measured_cells import MeasuredCells, Way

FREEDOM = 2
"""Cells more than effects that a first design has, so that it tells how far cells lie apart."""
REPLICATES = 2
"""Replicates of a first design, where the grid has them."""


class DecisionGrid:
    """The slots of one decision.

    Args:
        planned: the whole grid as if it were trained; its errors and hours mean nothing.
        stages: (N,) keys of all stages that each needs.
        prices: stage key -> what it costs, in any unit.
    """

    def __init__(self, planned: MeasuredWays, stages: Sequence[frozenset[str]], prices: Mapping[str, float]) -> None:
        self.planned, self.stages_of, self.prices = planned, stages, prices
        self.cells: MeasuredCells = planned.cells
        self.way = [Way(*names) for names in zip(self.cells.strategy, self.cells.method, strict=True)]
        self.marks = list(zip(self.way, self.cells.n_pre.tolist(), self.cells.n_ft.tolist(), strict=True))
        """What a slot is but for its replicate."""
        self.members: dict[Hashable, list[int]] = {}
        for place, replicate in enumerate(self.cells.replicate):
            self.members.setdefault(replicate, []).append(place)

    def __len__(self) -> int:
        return len(self.way)

    def stages(self, slots: Iterable[int]) -> set[str]:
        """Return the keys of the stages that some slots need."""
        return {key for place in slots for key in self.stages_of[place]}

    def price(self, slots: Iterable[int], have: AbstractSet[str] = frozenset()) -> float:
        """Return what the stages cost that some slots need and that are not there: each once."""
        return sum(self.prices[key] for key in self.stages(slots) - have)

    def only(self, present: AbstractSet[int]) -> MeasuredCells:
        """Return some slots."""
        return self.cells.only(self._mask(present))

    def trained(self, found: Mapping[int, tuple[float, float]], device: str) -> MeasuredWays:
        """Return what is measured so far, in the order of the slots.

        Args:
            found: slot -> its error, and the hours of training of its stages.
            device: on which that was, cpu or cuda.
        """
        mask = self._mask(found.keys())
        errors, hours = np.ones(len(self)), np.ones(len(self))
        for place, (error, spent) in found.items():
            errors[place], hours[place] = error, spent
        cells = replace(self.cells, error=errors).only(mask)
        return replace(self.planned, cells=cells, hours=hours[mask], device=device, keys=())

    def first_design(self, have: AbstractSet[str], possible: AbstractSet[int]) -> frozenset[int]:
        """Return the slots of a first design that identifies the model, as far as the possible ones do.

        They are the ends and the middle of the auxiliary sizes with the ends of the target sizes, of each way, in two
        replicates, those with the least left to train. Where that leaves too few degrees of freedom there are more
        replicates, and then all sizes.
        """
        every = {replicate: [place for place in own if place in possible] for replicate, own in self.members.items()}
        spanning = {replicate: self._spanning(own) for replicate, own in every.items()}
        for parts in (spanning, {replicate: frozenset(own) for replicate, own in every.items()}):
            order = sorted(filter(None, parts.values()), key=lambda own: round(self.price(own, have), 9))
            for number in range(min(REPLICATES, len(order)), len(order) + 1):
                chosen = frozenset[int]().union(*order[:number])
                if self.freedom(chosen) >= FREEDOM:
                    return chosen
        return frozenset(possible)

    def freedom(self, slots: AbstractSet[int]) -> int:
        """Return by how many some slots are more than the effects that they tell apart."""
        if not slots:
            return 0
        return len(slots) - effects(self.only(slots), DEFAULT, {}).design.shape[1]

    def varies(self) -> bool:
        """Return whether some way has two sizes."""
        return any(len(terms) > 1 for terms in effects(self.cells, DEFAULT, {}).terms.values())

    def identifies(self, slots: AbstractSet[int], first: AbstractSet[int]) -> bool:
        """Return whether some slots tell all effects apart that a first design does, and how far cells lie apart."""
        if not slots or self.freedom(slots) < min(FREEDOM, self.freedom(first)):
            return False
        if self.only(slots).replicates < min(REPLICATES, self.only(first).replicates):
            return False
        mine, theirs = (effects(self.only(own), DEFAULT, {}).terms for own in (slots, first))
        return all(set(terms) <= set(mine.get(way, ())) for way, terms in theirs.items())

    def options(self, present: AbstractSet[int], possible: AbstractSet[int]) -> Iterator[tuple[int, ...]]:
        """Yield what may be added together.

        That is a cell; the cells of a pre-training, of a way or all in a replicate; or a setting in all replicates. Of
        replicates in which all is alike the first stands for the others.
        """
        free = sorted(possible - present)
        together: dict[Hashable, list[int]] = {}
        for replicate in self._unlike(present, possible):
            for place in (place for place in self.members[replicate] if place in possible and place not in present):
                pretraining = self.cells.pretraining[place] if self.cells.pretraining else place
                for name in (place, ("pretraining", pretraining), (replicate, self.way[place]), ("whole", replicate)):
                    together.setdefault(name, []).append(place)
        for place in free:
            together.setdefault(self.marks[place], []).append(place)
        yield from dict.fromkeys(tuple(places) for places in together.values())

    def _unlike(self, present: AbstractSet[int], possible: AbstractSet[int]) -> list[Hashable]:
        """Return the replicates, of those in which all is alike the first."""
        first: dict[Hashable, Hashable] = {}
        for replicate, places in self.members.items():
            there = frozenset(self.marks[place] for place in places if place in present)
            left = frozenset(self.marks[place] for place in places if place in possible and place not in present)
            first.setdefault((there, left), replicate)
        return list(first.values())

    def _spanning(self, places: Sequence[int]) -> frozenset[int]:
        """Return the slots of a replicate nearest to the ends and the middle of its ways' sizes."""
        chosen: set[int] = set()
        for way in dict.fromkeys(self.way[place] for place in places):
            own = [place for place in places if self.way[place] == way]
            sizes = {place: (_log(self.cells.n_pre[place]), _log(self.cells.n_ft[place])) for place in own}
            pre, ft = (sorted({each[axis] for each in sizes.values()}) for axis in (0, 1))
            for wanted in (
                (one, other) for one in (pre[0], (pre[0] + pre[-1]) / 2, pre[-1]) for other in (ft[0], ft[-1])
            ):
                chosen.add(min(own, key=lambda place: math.dist(sizes[place], wanted)))
        return frozenset(chosen)

    def _mask(self, slots: AbstractSet[int]) -> np.ndarray:
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[list(slots)] = True
        return mask


def _log(size: float) -> float:
    return math.log(size) if size > 0 else 0.0
