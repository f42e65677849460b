"""Where a sweep stands, from its store alone: what is done, what goes on and how fast, what is left, what it costs.

Whoever sees the store can tell it, on any machine, and no run is asked.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.plan.cost import HOUR, Estimator, steps
from mfsweep.plan.graph import Node
from mfsweep.plan.left import COVERED, Left, StageToCome, left
from mfsweep.prepare import Plan
from mfsweep.quantities import count, span
from mfsweep.records import Record
from mfsweep.store.pace import Pace, read_pace
from mfsweep.sweep.cost_tables import tables
from mfsweep.sweep.status import StageStatus, status

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
    price: float | None = None
    """What a device-hour costs."""

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
        for one in self.stages:
            if one.state == "failed":
                yield f"failed: {one.title}: {(one.reason or '').strip().splitlines()[0]} ({one.log})"

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
        rows = [one.as_json() | (self.paces[one.key]._asdict() if one.key in self.paces else {}) for one in self.stages]
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
            "stages": rows,
        }


def standing(plan: Plan, price: float | None = None) -> Standing:
    """Return where a plan's sweep stands now.

    Args:
        plan: as the store is now.
        price: of a device-hour, in any currency.
    """
    rows = status(plan)
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
        price=price,
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
    workers = plan.spec.experiment.resources.workers

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
            tasks[row.key] = StageToCome(parent, kind, seconds, share)
    found = left(tasks, ratios, at_a_time)
    if found is None:
        return None
    # Ratios are of device-seconds: the workers of a stage share them.
    low, high = (None if bound is None else bound / workers for bound in (found.low, found.high))
    return Left(found.seconds / workers, low, high, found.busy)


def _spent(rows: Sequence[StageStatus], paces: Mapping[str, Pace], plan: Plan) -> dict[str, float]:
    """Return device -> hours of it; what goes on counts with the device of the others."""
    spent: dict[str, float] = {}
    for row in rows:
        if row.record:
            device = _device(row.record)
            spent[device] = spent.get(device, 0.0) + row.record.seconds * row.record.workers / HOUR
    usual = max(spent, key=lambda device: spent[device], default="an unknown device")
    going_on = sum(pace.seconds for pace in paces.values()) * plan.spec.experiment.resources.workers / HOUR
    if going_on:
        spent[usual] = spent.get(usual, 0.0) + going_on
    return spent


def _device(record: Record) -> str:
    with contextlib.suppress(IndexError):
        machine = record.machines[0]
        return machine.name if machine.device == "cuda" else f"CPU workers on {machine.name}"
    return "an unknown device"
