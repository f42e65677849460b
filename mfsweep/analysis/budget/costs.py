"""What labels and training cost, in one unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mfsweep.errors import FitError, nearest
from mfsweep.quantities import HOUR

CORE_TIME = {"core-seconds": 1.0, "core-minutes": 60.0, "core-hours": HOUR, "core-days": 86400.0}
"""Units of computing time, in core-seconds; every other unit is a word, a currency for example."""


@dataclass(frozen=True)
class Prices:
    """Costs in one unit."""

    labels: Mapping[str, float]
    """Label method -> cost of one label, 0 where it is left out of account."""
    unit: str
    origin: str = "given"
    """Where the costs of labels come from, in words."""
    hour: float | None = None
    """What an hour of training costs, on a core or a GPU, as the cells were trained. None: a core-hour is one in units
    of computing time, and all else is left out."""

    def at(self, unit: str, option: str = "--cost METHOD=NUMBER") -> Prices:
        """Return the same costs in another unit.

        Args:
            unit: to be had.
            option: of the command, by which costs in that unit are given.

        Raises:
            FitError: one of both is no computing time.
        """
        if unit == self.unit:
            return self
        if unit not in CORE_TIME or self.unit not in CORE_TIME:
            known = ", ".join(dict.fromkeys([self.unit, *CORE_TIME]))
            raise FitError(
                f"--unit {unit}: the costs of labels are in {self.unit} ({self.origin}), which no rate turns into it. "
                f"Expected {self.unit}, or {option} for every method.{nearest(unit, known.split(', '))}"
            )
        factor = CORE_TIME[self.unit] / CORE_TIME[unit]
        labels = {method: factor * cost for method, cost in self.labels.items()}
        return Prices(labels, unit, self.origin, None if self.hour is None else factor * self.hour)

    def of_hour(self, device: str) -> float | None:
        """Return what an hour of training costs on a core (`cpu`) or a GPU (`cuda`); None: it is left out."""
        if self.hour is None and device == "cpu" and self.unit in CORE_TIME:
            return HOUR / CORE_TIME[self.unit]
        return self.hour

    def of_labels(self, method: str) -> float:
        """Return the cost of a label.

        Raises:
            FitError: nobody has said it.
        """
        if method not in self.labels:
            known = f" (there are {', '.join(self.labels)})" if self.labels else ""
            raise FitError(
                f"no cost of a {method} label is known{known}: --cost {method}=NUMBER in {self.unit}, or `costs:` in a "
                "figure of kind pareto"
            )
        return self.labels[method]
