"""What a run until a condition aims at; of a gradient its half-width, as the cells of a plan give it."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from mfsweep.analysis.law_grid import GridSlot, LawGrid
from mfsweep.analysis.looks import Met, Round, Seen, Unmet, decide, foresee, see
from mfsweep.analysis.records import Records
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.analysis.sharpen import CellChoice
from mfsweep.analysis.table import points, scalar, stage_key
from mfsweep.errors import SpecError
from mfsweep.plan.condition import HALF_WIDTH, Condition
from mfsweep.prepare import Plan
from mfsweep.quantities import MINIMUM_X, RESULT, MetricPath, count
from mfsweep.records import LookRecord
from mfsweep.sweep.prices import StagePrices


class Step(NamedTuple):
    """Cells that are chosen together, and why."""

    cells: tuple[int, ...]
    """Places among the cells of the plan."""
    before: float
    after: float
    """Expected half-width without and with them; before the first look there is none."""
    price: float


class Outcome(NamedTuple):
    """Why a run ends."""

    met: bool
    said: str


class TrainedSoFar(NamedTuple):
    """What there is at one moment."""

    have: frozenset[str]
    """Keys of the stages that are done."""
    lost: frozenset[str]
    """Keys of those that have failed, or come after one that has."""
    prices: StagePrices


class RunAim(Protocol):
    """What a condition aims at, on the grid of a plan."""

    named: str
    """What has to lie below the target: choices that were made for something else are made anew."""
    options: tuple[str, ...]
    """What of the command line belongs to it beside the condition."""
    nothing: str
    """What there is before the first look, in words."""

    def follow(self, now: TrainedSoFar) -> tuple[LookRecord, list[Step] | Outcome]:
        """Return what the records say, and the cells to be trained next, or why it ends."""
        ...

    def expect(self, now: TrainedSoFar) -> str:
        """Return what the run is expected to come to, in a sentence."""
        ...

    def standing(self, look: LookRecord) -> str | None:
        """Return in a few words what a look has seen; None: nothing yet."""
        ...

    def effect(self, step: Step) -> str:
        """Return in a few words what a step is for."""
        ...


class GradientAim:
    """The half-width of the gradient that all groups of a fit share.

    Args:
        plan: of the whole grid.
        condition: with a fit of the spec.

    Raises:
        SpecError: no design of this grid gives the law an interval, with what it lacks.
    """

    def __init__(self, plan: Plan, condition: Condition) -> None:
        assert condition.fit is not None
        self.named, self.options, self.nothing = f"{condition.fit}.{HALF_WIDTH}", (), "no interval yet"
        self._plan = plan
        self._condition = condition
        self._fit = plan.spec.experiment.fits[condition.fit]
        self._cells = plan.cells()
        self._slots = self._made()
        self._pairs = [self._pair(slot.cell) for slot in self._slots]
        sizes = {slot.z for slot in self._slots}
        if len(sizes) < MINIMUM_X:
            have = f"{count(len(sizes), 'training size')} of the stage of x, {self._fit.x}"
            raise SpecError(
                f"--until {condition.text!r}: the fit {condition.fit!r} has {have}: a run chooses cells by the size as "
                f"instrument, and a line needs {MINIMUM_X}. Add values to its axis"
            )
        self._first(LawGrid(self._slots, dict.fromkeys(plan.graph.nodes, 0.0)))

    @property
    def cells(self) -> frozenset[int]:
        """Return the cells that give a point of the law."""
        return frozenset(slot.cell for slot in self._slots)

    def follow(self, now: TrainedSoFar) -> tuple[LookRecord, list[Step] | Outcome]:
        """Return what the records say, and the cells to be trained next, or why it ends."""
        grid, present, possible, seen = self._look(now)
        said = decide(grid, present, now.have, possible, seen, self._condition.target)
        look = LookRecord(cells=len(present), price=grid.price(present))
        if seen is not None:
            low, high = seen.interval if seen.interval.bounded else (None, None)
            look = LookRecord(cells=len(present), value=seen.gradient.value, low=low, high=high, price=look.price)
        if isinstance(said, Round):
            return look, [self._step(choice) for choice in said.choices]
        return look, Outcome(isinstance(said, Met), self._ended(said, seen, now.prices, grid.price(present)))

    def expect(self, now: TrainedSoFar) -> str:
        """Return what the run is expected to come to, and what of the grid is trained then."""
        grid, present, possible, seen = self._look(now)
        found = foresee(grid, present, now.have, possible, seen, self._condition.target)
        spent, whole = grid.price(found.slots), grid.price(range(len(grid.slots)))
        share = (
            f"{now.prices.text(spent)} of the grid's {now.prices.text(whole)} ({spent / whole:.0%})"
            if whole
            else "nothing"
        )
        rounds = f"{count(found.rounds, 'round')}, {len(found.slots)} of {len(self.cells)} cells, {share}"
        rests = "as they have so far" if seen is not None else "by 10 % a training, which is assumed"
        ends = f"it is met after {rounds}" if found.half_width < self._condition.target else f"it is not met: {rounds}"
        return f"If points lie apart {rests}, {ends}; half-width {found.half_width:.2g}."

    def standing(self, look: LookRecord) -> str | None:
        """Return the half-width; None while there is no interval."""
        return None if look.low is None or look.high is None else f"half-width {(look.high - look.low) / 2:.2g}"

    def effect(self, step: Step) -> str:
        """Return the half-widths before and after."""
        return f"{step.before:.2g} -> {step.after:.2g} expected" if step.before < math.inf else "identify the law"

    def _look(self, now: TrainedSoFar) -> tuple[LawGrid, frozenset[int], frozenset[int], Seen | None]:
        records = Records(self._plan.store, self._cells)
        measured = points(records, self._cells, self._fit.x, self._fit.y, self._fit.group_by)
        pairs = {(point.x_key, point.y_key, point.group) for point in measured}
        present = frozenset(place for place, pair in enumerate(self._pairs) if pair in pairs)
        # A cell that is trained and gives no point, its error being none or not positive, is not to be had.
        left = {
            place
            for place, slot in enumerate(self._slots)
            if not now.lost.intersection(slot.stages) and not now.have.issuperset(slot.stages)
        }
        return LawGrid(self._slots, now.prices.of), present, present | left, see(measured)

    def _made(self) -> tuple[GridSlot, ...]:
        x, y = MetricPath.parse(self._fit.x), MetricPath.parse(self._fit.y)
        made = []
        replicates = [
            (planned.cell.seed, _split(planned.cell.split_seed, planned.cell.fold))
            for planned in self._plan.graph.cells
        ]
        label = labels(replicates)
        for place, (cell, replicate) in enumerate(zip(self._cells, replicates, strict=True)):
            keys = stage_key(cell, x), stage_key(cell, y)
            stage = cell.result if x.stage == RESULT else x.stage
            size = sum(cell.sizes.get(stage, {}).values())
            if None in keys or not size:
                continue
            needed = {node.key for key in keys if key for node in self._plan.graph.lineage(key)}
            group = tuple(scalar(cell.values.get(axis)) for axis in self._fit.group_by)
            stages = tuple(sorted(needed))
            made.append(GridSlot(place, group, keys[0] or "", label[replicate], math.log(size), stages))
        return tuple(made)

    def _pair(self, place: int) -> tuple[str | None, str | None, tuple[object, ...]]:
        cell = self._cells[place]
        keys = (stage_key(cell, MetricPath.parse(path)) for path in (self._fit.x, self._fit.y))
        return (*keys, tuple(scalar(cell.values.get(axis)) for axis in self._fit.group_by))  # pyright: ignore[reportReturnType] (of two)

    def _first(self, grid: LawGrid) -> None:
        said = decide(grid, frozenset(), frozenset(), frozenset(range(len(grid.slots))), None, self._condition.target)
        if isinstance(said, Unmet):
            raise SpecError(
                f"--until {self._condition.text!r}: no part of this grid gives the fit {self._condition.fit!r} an "
                f"interval: it has {count(grid.replicates, 'replicate')}, and a line needs three sizes and four "
                "pre-trainings in each group. Add values to the axis of x, or to an axis `seed`, `split_seed` or `fold`"
            )

    def _step(self, choice: CellChoice) -> Step:
        cells = tuple(self._slots[place].cell for place in choice.slots)
        return Step(cells, choice.before, choice.after, choice.price)

    def _ended(self, said: Met | Unmet, seen: Seen | None, prices: StagePrices, spent: float) -> str:
        grid = LawGrid(self._slots, prices.of)
        whole = grid.price(range(len(grid.slots)))
        trained = f"{prices.text(spent)} of the {prices.text(whole)} that all its cells cost ({spent / whole:.0%})"
        interval = seen.interval if seen else None
        told = (
            f"{self._condition.fit} has no interval: x follows its size too weakly" if seen else "There is no law yet"
        )
        if seen and interval and interval.bounded:
            told = f"The gradient of {self._condition.fit} is {seen.gradient.value:.2f}, {interval}"
        if isinstance(said, Met):
            assert interval is not None
            return (
                f"{self._condition.text}: met, half-width {interval.half_width:.3g}. {told}; an interval of 97.5 %, so "
                f"that 95 of 100 runs which end by it hold the truth. It took {trained}."
            )
        what = "all of it is trained" if said.exhausted else "all of it"
        gives = (
            f", {what} and gives {said.whole:.2g}"
            if said.exhausted
            else f": {what} is expected to give {said.whole:.2g}"
        )
        if not math.isfinite(said.whole):
            lost = "too many of its cells are lost" if seen is None else "its sizes would have to be further apart"
            gives = f", {what}" if said.exhausted else f": {lost}"
        more = ""
        if said.replicates:
            replicates = labels(
                (cell.cell.seed, _split(cell.cell.split_seed, cell.cell.fold)) for cell in self._plan.graph.cells
            )
            has = text(replicates.values(), by_partition(replicates))
            more = f" It has {has}; about {said.replicates} would do, or sizes further apart."
        return f"{self._condition.text}: cannot be met within this grid{gives}. {told}.{more} It took {trained}."


def _split(seed: int, fold: int | None) -> int | str:
    """Return the partition of a cell, named as records name it (analysis/records.py)."""
    return seed if fold is None else f"fold {fold} of seed {seed}"
