"""What stages cost: optimiser steps times seconds per batch, by a cost model that can be said in a line.

    seconds of a stage = steps x batches_per_step x sum over labelled sets [probability x seconds per batch]

A batch takes as long as one of its model, atom cap and trained part, with or without forces; a set whose force weight
is 0 has none computed. Left out are validation, evaluations and the start of a stage. Workers share the batches of a
step, so device-hours do not depend on how many there are (as long as they share without loss).

Pure: the tables of measured seconds come from outside (`mfsweep bench`, a cost file), but for a small one of our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from mfsweep.models.architecture import Architecture, Timed
from mfsweep.models.registry import ARCHITECTURES, Model
from mfsweep.quantities import HOUR
from mfsweep.spec.base import Bool, Frozen, PositiveFloat, PositiveInt
from mfsweep.spec.stage import Training

STOPS = 3
"""A stage without a step limit is taken to run for this many times its `stop_steps` (assumed)."""

Trainable = Literal["all", "readouts", "lora"]


class BatchWork(NamedTuple):
    """What the seconds of a batch depend on."""

    model: Architecture
    max_atoms: int
    forces: bool
    trainable: Trainable


class MeasuredSeconds(Frozen):
    """Seconds of one batch: forward, loss and backward. A row of a cost table."""

    device: str
    """Its name; that of a CPU begins with `CPU`."""
    model: Model
    max_atoms: PositiveInt = 256
    forces: Bool
    trainable: Trainable = "all"
    seconds: PositiveFloat
    torch: str = ""
    date: str = ""

    @property
    def work(self) -> BatchWork:
        """Return what was measured."""
        return BatchWork(self.model, self.max_atoms, self.forces, self.trainable)


class Costs(NamedTuple):
    """A table of measured seconds."""

    origin: str
    """Where it comes from, as the output names it."""
    rows: tuple[MeasuredSeconds, ...]


class Rate(NamedTuple):
    """Seconds of a batch, and what they rest on."""

    seconds: float
    row: MeasuredSeconds
    origin: str
    exact: bool
    """Whether the row is of this very work; else it was scaled."""


def _own(timed: Timed) -> Iterator[MeasuredSeconds]:
    for forces, seconds in ((True, timed.with_forces), (False, timed.energies_only)):
        yield MeasuredSeconds(device=timed.device, model=timed.model, forces=forces, seconds=seconds)  # pyright: ignore[reportArgumentType] (of the registry)


OWN = Costs(
    "mfsweep's own table",
    tuple(row for kind in ARCHITECTURES.values() for timed in kind.measured() for row in _own(timed)),
)


def size(work: BatchWork) -> float:
    """Return what seconds are taken to be proportional to: atoms x the model's effort for each."""
    return work.max_atoms * work.model.effort()


def rate(work: BatchWork, tables: Sequence[Costs]) -> Rate | None:
    """Return the seconds of a batch by the first table that has its architecture; None where none has.

    Of a table's rows the one of this work counts, else the one nearest in `size`, scaled by it. Energies alone count as
    energies and forces where only those were measured, a part of the parameters as all of them: too much, if anything.
    """
    for table in tables:
        alike = [row for row in table.rows if row.model.architecture == work.model.architecture]
        alike = [row for row in alike if row.forces == work.forces] or [row for row in alike if row.forces]
        alike = [row for row in alike if row.trainable == work.trainable] or [r for r in alike if r.trainable == "all"]
        if alike:
            near = min(alike, key=lambda row: (row.work != work, abs(math.log(size(row.work) / size(work)))))
            scale = size(work) / size(near.work)
            return Rate(near.seconds * scale, near, table.origin, near.work == work)
    return None


def latest(rows: Iterable[MeasuredSeconds], device: str | None = None) -> tuple[MeasuredSeconds, ...]:
    """Return the rows of one device: the one whose name contains `device`, else the one measured last."""
    rows = [row for row in rows if device is None or device.lower() in row.device.lower()]
    if not rows:
        return ()
    last = max(rows, key=lambda row: row.date).device
    return tuple(row for row in rows if row.device == last)


def steps(training: Training, assumed: int | None = None) -> int:
    """Return the optimiser steps of a stage: its limit, else `assumed`, else STOPS times its `stop_steps`."""
    recipe = training.recipe
    return recipe.max_steps or assumed or STOPS * recipe.schedule.stop_steps


def works(training: Training) -> dict[BatchWork, float]:
    """Return the kinds of batches that a stage draws, each with its share of them."""
    recipe = training.recipe
    shares: dict[bool, float] = {}
    for labelled in training.sets:
        forces = recipe.loss[labelled.labels].forces > 0
        shares[forces] = shares.get(forces, 0.0) + (labelled.probability or 0.0)
    model, atoms, trainable = training.model, recipe.batch.max_atoms, recipe.trainable or "all"
    if trainable == "readouts" and model.conditioning:
        trainable = "all"  # gradients of the methods' vectors come through the whole backbone
    return {BatchWork(model, atoms, forces, trainable): share for forces, share in shares.items()}


class StageCost(NamedTuple):
    """What one stage costs."""

    steps: int
    """Optimiser steps at most."""
    hours: dict[str, float] | None
    """Device -> hours of it; None where no table knows the model."""


class Total(NamedTuple):
    """What some stages cost together."""

    stages: int
    steps: int
    hours: dict[str, float]
    """Device -> hours of it."""
    unknown: int
    """Stages with a model of which no table knows anything; they are in no hours."""


def total(costs: Iterable[tuple[StageCost, int]]) -> Total:
    """Return the sum of stages, each counted so many times."""
    stages = steps = unknown = 0
    hours: dict[str, float] = {}
    for cost, times in costs:
        stages += times
        steps += cost.steps * times
        if cost.hours is None:
            unknown += times
            continue
        for device, value in cost.hours.items():
            hours[device] = hours.get(device, 0.0) + value * times
    return Total(stages, steps, hours, unknown)


class Estimator:
    """Says what stages cost, and remembers what each kind of batch was taken to."""

    def __init__(self, tables: Sequence[Costs], assumed: int | None = None) -> None:
        """Take tables, of which the first that knows a model counts, and the steps of a stage without a limit."""
        self.rates: dict[BatchWork, Rate | None] = {}
        """Each kind of batch that was met."""
        self._tables = tables
        self._assumed = assumed
        # The stages of a large grid share their recipes and models, which are slow to hash: looked up by identity,
        # for which they are kept alive.
        self._made: dict[tuple[object, ...], StageCost] = {}
        self._kept: list[Training] = []

    def cost(self, training: Training) -> StageCost:
        """Return what a stage costs."""
        shares = tuple((labelled.labels, labelled.probability) for labelled in training.sets)
        key = (id(training.recipe), id(training.model), shares)
        if key not in self._made:
            self._kept.append(training)
            self._made[key] = self._measure(training)
        return self._made[key]

    def _measure(self, training: Training) -> StageCost:
        number = steps(training, self._assumed)
        batches = number * training.recipe.batch.batches_per_step
        found: list[tuple[float, Rate | None]] = []
        for work, share in works(training).items():
            if work not in self.rates:
                self.rates[work] = rate(work, self._tables)
            found.append((share, self.rates[work]))
        hours: dict[str, float] = {}
        for share, known in found:
            if known is None:
                return StageCost(number, None)
            device = known.row.device
            hours[device] = hours.get(device, 0.0) + share * batches * known.seconds / HOUR
        return StageCost(number, hours)


def is_gpu(device: str) -> bool:
    """Return whether a device of a cost table is a GPU."""
    return not device.upper().startswith("CPU")
