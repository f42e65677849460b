"""Where a sweep stands, from its store alone: what is done, what goes on and how fast, what is left, what it costs.

Whoever sees the store can tell it, on any machine, and no run is asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.spent import Spent, device_of, spent
from mfsweep.plan.cost import Estimator, steps
from mfsweep.plan.graph import Node
from mfsweep.plan.left import COVERED, Left, StageToCome, left
from mfsweep.prepare import Plan
from mfsweep.quantities import HOUR, count, span
from mfsweep.records import CellRecord
from mfsweep.store.pace import Pace, read_pace
from mfsweep.sweep.cost_tables import tables
from mfsweep.sweep.prices import rates_of
from mfsweep.sweep.status import StageStatus, status
from mfsweep.usage_record import UsagePart

MOST_DONE = 0.98
"""Share of a stage that goes on which is taken as done at most: it may still be evaluated."""


@dataclass(frozen=True)
class Standing:
    """A sweep at one moment."""

    name: str
    time: float
    """Unix time, seconds."""
    stages: Sequence[StageStatus]
    paces: Mapping[str, Pace]
    """Key -> pace of the stages that have begun and have no record."""
    open: frozenset[str]
    """Keys of the stages that are left to do, without those below a failed one."""
    left: Left | None
    """None where nothing tells how fast the stages to come will be."""
    at_a_time: int
    spent: Mapping[str, float]
    """Device -> hours of it, all workers of all stages."""
    trained: Spent
    """What the trained stages have cost."""
    cells: Sequence[tuple[CellRecord, Spent]]
    """The same of each cell's."""
    usage: Mapping[str, tuple[UsagePart, ...]]
    """Key -> what each process of a stage that goes on uses of its device."""

    @property
    def price(self) -> float | None:
        """Return what a device-hour costs."""
        return self.trained.rates.price

    @property
    def counts(self) -> dict[str, int]:
        """Return how many stages are in each state, those that there are."""
        return dict(Counter(one.state for one in self.stages))

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left that could be done without trying what has failed again."""
        return not self.open

    @property
    def hours_to_come(self) -> float | None:
        """Return device-hours that are left, by the finished stages' speed."""
        return None if self.left is None else self.left.busy / HOUR

    def sentences(self) -> Iterator[str]:
        """Yield what there is to say, a line each."""
        done = sum(one.state in ("done", "trained") for one in self.stages)
        others = ", ".join(
            f"{number} {state}" for state, number in self.counts.items() if state not in ("done", "trained")
        )
        yield f"{self.name}: {done} of {count(len(self.stages), 'stage')} done" + (f"; {others}" if others else "")
        if not self.is_over:
            yield self._left()
        yield self._cost()
        if self.trained.energy:
            yield f"Energy of trained stages: {self.trained.energy}"
        for one in self.stages:
            if parts := self.usage.get(one.key):
                yield f"on its devices: {one.title}: {'; '.join(map(_use, parts))}"
        for one in self.stages:
            if one.silent is not None:
                yield f"silent: {one.title}: {one.note}. If its run has died, the next one of the spec goes on with it"
            if one.state == "failed":
                yield f"failed: {one.title}: {one.note} ({one.log})"

    def _left(self) -> str:
        if self.left is None:
            return "Time left: not known before a stage of this spec is done"
        side = f"with {count(self.at_a_time, 'stage')} at a time"
        if self.left.low is None or self.left.high is None:
            return f"Time left: about {span(self.left.seconds)} {side}, by one finished stage: it may be far off"
        bounds = f"{span(self.left.low)} to {span(self.left.high)} in {COVERED:.0%} of draws from the finished stages"
        return f"Time left: about {span(self.left.seconds)} {side} ({bounds})"

    def _cost(self) -> str:
        spent = " and ".join(f"{hours:,.2f} hours of {device}" for device, hours in self.spent.items()) or "nothing"
        said = f"Spent: {spent}"
        to_come = None if self.is_over else self.hours_to_come
        if to_come is not None:
            said += f"; about {to_come:,.2f} to come"
        if self.price is not None:
            total = self.price * sum(self.spent.values())
            said += f". At {self.price:g} an hour: {total:,.2f}"
            said += f", and {self.price * to_come:,.2f} to come" if to_come is not None else ""
        return said

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        money = {} if self.price is None else {"price": self.price, "spent_cost": self.price * sum(self.spent.values())}
        if money and self.hours_to_come is not None:
            money["cost_to_come"] = self.price * self.hours_to_come  # pyright: ignore[reportOptionalOperand] (has a price)
        rows = [self._row(one) for one in self.stages]
        return {
            "name": self.name,
            "time": self.time,
            "over": self.is_over,
            "counts": self.counts,
            "at_a_time": self.at_a_time,
            "left": None if self.left is None else self.left._asdict(),
            "device_hours": dict(self.spent),
            "device_hours_to_come": self.hours_to_come,
            **money,
            "spent": self.trained.as_json(),
            "stages": rows,
            "cells": [{"values": dict(cell.values), **own.as_json()} for cell, own in self.cells],
        }

    def _row(self, one: StageStatus) -> dict[str, Any]:
        row = one.as_json() | (self.paces[one.key]._asdict() if one.key in self.paces else {})
        if one.record:
            row["usage"] = one.record.usage and one.record.usage.model_dump(mode="json")
            row["spent"] = spent([one.record], self.trained.rates).as_json()
        elif one.key in self.usage:
            row["devices"] = [part.model_dump(mode="json") for part in self.usage[one.key]]
        return row


def standing(plan: Plan, price: float | None = None, co2: float | None = None) -> Standing:
    """Return where a plan's sweep stands now.

    Args:
        plan: as the store is now.
        price: of a device-hour, in any currency; default: the spec's.
        co2: grams of a kWh; default: the spec's.
    """
    rows = status(plan)
    rates = rates_of(plan, price, co2)
    records = {row.key: row.record for row in rows if row.record}
    cells = [
        (cell, spent([records[key] for key in cell.stages.values() if key in records], rates)) for cell in plan.cells()
    ]
    paces = {
        row.key: pace
        for row in rows
        if row.record is None and row.state not in ("to do", "skipped")
        if (pace := read_pace(plan.store.stage(row.key), steps(plan.graph.nodes[row.key].training))) is not None
    }
    running = sum(row.state == "running" for row in rows)
    at_a_time = running or plan.spec.experiment.resources.groups or 1
    to_do = _open(plan, rows)
    return Standing(
        name=plan.name,
        time=time.time(),
        stages=rows,
        paces=paces,
        open=to_do,
        left=_left(plan, rows, to_do, paces, at_a_time),
        at_a_time=at_a_time,
        spent=_spent(rows, paces, plan),
        trained=spent(records.values(), rates),
        cells=cells,
        usage={row.key: parts for row in rows if row.state == "running" and (parts := _used(plan, row.key))},
    )


def _open(plan: Plan, rows: Sequence[StageStatus]) -> frozenset[str]:
    lost: set[str] = set()
    for row in rows:  # parents first
        if row.state in ("failed", "pruned", "skipped") or plan.graph.nodes[row.key].parent in lost:
            lost.add(row.key)
    return frozenset(row.key for row in rows if row.state in ("running", "begun", "to do")) - lost


def _left(
    plan: Plan, rows: Sequence[StageStatus], to_do: frozenset[str], paces: Mapping[str, Pace], at_a_time: int
) -> Left | None:
    estimator = Estimator(tables(plan.store, None, None))

    def estimated(node: Node) -> tuple[Hashable, float]:
        """Return the kind of a stage, and its device-seconds by estimate, or steps where its model is unknown."""
        cost = estimator.cost(node.training)
        kind = node.name, node.training.model.key
        return kind, HOUR * sum(cost.hours.values()) if cost.hours else float(cost.steps)

    ratios: dict[Hashable, list[float]] = {}
    tasks: dict[str, StageToCome] = {}
    for row in rows:
        node = plan.graph.nodes[row.key]
        kind, seconds = estimated(node)
        if row.record:
            ratios.setdefault(kind, []).append(row.record.seconds * row.record.workers / seconds)
        elif row.key in to_do:
            pace = paces.get(row.key)
            share = 1 - min(MOST_DONE, pace.step / pace.limit) if pace else 1.0
            parent = node.parent if node.parent in tasks else None
            held = node.resources
            tasks[row.key] = StageToCome(parent, kind, seconds, share, held.workers, held.device_share)
    return left(tasks, ratios, at_a_time)


def _spent(rows: Sequence[StageStatus], paces: Mapping[str, Pace], plan: Plan) -> dict[str, float]:
    """Return device -> hours of it; what goes on counts with the device of the others."""
    spent: dict[str, float] = {}
    for row in rows:
        if row.record:
            device = device_of(row.record)
            spent[device] = spent.get(device, 0.0) + row.record.device_hours
    usual = max(spent, key=lambda device: spent[device], default="an unknown device")
    nodes = plan.graph.nodes
    held = {key: nodes[key].resources for key in paces}
    going_on = sum(pace.seconds * held[key].workers * held[key].device_share for key, pace in paces.items()) / HOUR
    if going_on:
        spent[usual] = spent.get(usual, 0.0) + going_on
    return spent


def _used(plan: Plan, key: str) -> tuple[UsagePart, ...]:
    """Return the newest part of each rank of a stage that says something of its device."""
    newest: dict[int, UsagePart] = {}
    for part in sorted(plan.store.stage(key).usage_parts(), key=lambda part: part.time):
        newest[part.rank] = part
    return tuple(part for _, part in sorted(newest.items()) if part.now is not None or part.joules is not None)


def _use(part: UsagePart) -> str:
    """Say what one process uses of its device."""
    said = [f"rank {part.rank} on {part.host}"]
    if part.now is not None and part.utilisation is not None:
        said.append(f"GPU {part.now:.0%} busy now, {part.utilisation:.0%} on average")
    if part.memory_gib is not None:
        said.append(f"{part.memory_gib:.1f} GiB at most")
    if part.joules is not None and part.seconds > 0:
        said.append(f"{part.joules / part.seconds:.0f} W on average")
    return ", ".join(said)
