"""What trained stages have cost: device-hours, energy as the devices told it, and by the user's rates money and CO2.

A stage that several cells or laws share is counted once in each of them, and once in what all came to: the parts do not
add up to the whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mfsweep.analysis.law import Law
from mfsweep.analysis.records import Records
from mfsweep.quantities import HOUR
from mfsweep.records import CellRecord, Record

KWH = 3.6e6
"""Joules."""
ALL = "all stages"
SPENT_HEAD = ("trained stages", "device-hours", "kWh", "measured in device-hours", "price", "CO2, kg")


class CostRates(NamedTuple):
    """What the user says of prices; None: not known."""

    price: float | None = None
    """What a device-hour costs, in any currency."""
    grams: float | None = None
    """Grams of CO2 of a kWh."""


UNPRICED = CostRates()


@dataclass(frozen=True, slots=True)
class Spent:
    """What some trained stages have cost together."""

    stages: int
    hours: Mapping[str, float]
    """Device -> hours of it, all workers."""
    kwh: float | None
    """Measured energy; None where no stage has any."""
    metered: float
    """Device-hours in which it was measured."""
    whole_machine: bool
    """Whether part of the energy is a whole machine's, whatever else ran there."""
    rates: CostRates

    @property
    def all_hours(self) -> float:
        """Return the hours of all devices."""
        return sum(self.hours.values())

    @property
    def price(self) -> float | None:
        """Return what the device-hours cost."""
        return None if self.rates.price is None else self.rates.price * self.all_hours

    @property
    def kilograms(self) -> float | None:
        """Return the CO2 of the measured energy."""
        return None if self.kwh is None or self.rates.grams is None else self.kwh * self.rates.grams / 1000

    @property
    def energy(self) -> str:
        """Say how much energy was measured; empty where none was."""
        if self.kwh is None:
            return ""
        said = f"{self.kwh:.3g} kWh"
        if self.kilograms is not None:
            said += f" ({self.kilograms:.3g} kg CO2 at {self.rates.grams:g} g/kWh)"
        said += f", measured in {self.metered:,.2f} of {self.all_hours:,.2f} device-hours"
        return said + (" (of whole machines, whatever else ran on them)" if self.whole_machine else "")

    def sentence(self, what: str) -> str:
        """Say in a line what they have cost.

        Args:
            what: rests on them.
        """
        hours = " and ".join(f"{hours:,.2f} hours of {device}" for device, hours in self.hours.items()) or "nothing"
        said = f"{what} took {hours}"
        if self.price is not None:
            said += f", {self.price:,.2f} at {self.rates.price:g} an hour"
        return said + (f"; {self.energy}" if self.energy else "")

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "stages": self.stages,
            "device_hours": dict(self.hours),
            "kwh": self.kwh,
            "metered_device_hours": self.metered,
            "whole_machine": self.whole_machine,
            "price": self.price,
            "co2_kg": self.kilograms,
        }

    def fields(self) -> tuple[str, ...]:
        """Return the fields of a table, as `SPENT_HEAD` has them."""
        numbers = (self.all_hours, self.kwh, self.metered if self.kwh is not None else None, self.price, self.kilograms)
        return str(self.stages), *("" if number is None else f"{number:,.3g}" for number in numbers)


def spent(trained: Iterable[Record], rates: CostRates = UNPRICED) -> Spent:
    """Return what trained stages have cost together."""
    stages, hours, joules, metered, whole = 0, dict[str, float](), None, 0.0, False
    for record in trained:
        stages += 1
        device, own = device_of(record), record.device_hours
        hours[device] = hours.get(device, 0.0) + own
        usage = record.usage
        if usage is not None and usage.joules is not None:
            joules = (joules or 0.0) + usage.joules
            metered += usage.seconds / HOUR
            whole = whole or usage.source == "rapl"
    return Spent(stages, hours, None if joules is None else joules / KWH, metered, whole, rates)


def spent_in_all(records: Records, cells: Sequence[CellRecord], rates: CostRates) -> Spent:
    """Return what all trained stages of some cells have cost."""
    return spent(_trained(records, (key for cell in cells for key in cell.stages.values())), rates)


def spent_by_cell(records: Records, cells: Sequence[CellRecord], rates: CostRates) -> list[tuple[CellRecord, Spent]]:
    """Return what the trained stages of each cell have cost."""
    return [(cell, spent(_trained(records, cell.stages.values()), rates)) for cell in cells]


def spent_by_law(records: Records, laws: Iterable[Law], rates: CostRates) -> dict[str, Spent]:
    """Return name of a law -> what the stages behind its points have cost, with all that those start from."""
    found: dict[str, Spent] = {}
    for law in laws:
        keys = {key for point in law.points for key in (point.x_key, point.y_key)}
        found[law.name] = spent(_trained(records, _with_ancestors(records, keys)), rates)
    return found


def device_of(record: Record) -> str:
    """Return what a stage was trained on, in words."""
    with contextlib.suppress(IndexError):
        machine = record.machines[0]
        return machine.name if machine.device == "cuda" else f"CPU workers on {machine.name}"
    return "an unknown device"


def _trained(records: Records, keys: Iterable[str]) -> list[Record]:
    return [stage.record for key in dict.fromkeys(keys) if (stage := records.stage(key))]


def _with_ancestors(records: Records, keys: Iterable[str]) -> set[str]:
    found, left = set[str](), list(keys)
    while left:
        key = left.pop()
        if key not in found:
            found.add(key)
            stage = records.stage(key)
            left += [stage.record.parent] if stage and stage.record.parent else []
    return found
