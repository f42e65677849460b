"""A target error as a user writes it, `cc=1.0kcal/mol`, the metric that it is about, and the cheapest way there."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from scipy import constants

from mfsweep.analysis.budget.catalogue import Design
from mfsweep.analysis.budget.decide import Decision
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import RESULT, Quantity

MEV = 1000.0
MOLE = constants.e * constants.N_A
"""Joule per mole in an eV."""
UNITS = {"kcal/mol": 1000 * constants.calorie / MOLE, "kJ/mol": 1000 / MOLE, "eV": 1.0, "meV": 1 / MEV}
"""Units of energy, in eV."""
_WRITTEN = re.compile(r"\s*(?P<method>[^=\s]+)\s*=\s*(?P<number>[-+.0-9eE]*[.0-9])\s*(?P<unit>\S.*?)?\s*")
KINDS = {
    **{f"{unit}/atom": (Quantity.ENERGY_MAE, MEV * size) for unit, size in UNITS.items() if "/" not in unit},
    **{unit: (Quantity.ENERGY_MAE_MOLECULE, MEV * size) for unit, size in UNITS.items()},
    **{f"{unit}/molecule": (Quantity.ENERGY_MAE_MOLECULE, MEV * size) for unit, size in UNITS.items()},
    **{f"{unit}/{angstrom}": (Quantity.FORCE_MAE, MEV * UNITS[unit]) for unit in ("meV", "eV") for angstrom in "AÅ"},
}
"""Unit -> which error it is of (docs/fairness.md#rule-13), and how many of that quantity's own unit it is. A mole is of
molecules: kcal/mol is an error of a molecule's energy, not of an atom's."""


class Target(NamedTuple):
    """An error to get below."""

    method: str
    quantity: Quantity
    value: float
    """In the quantity's unit."""
    written: str
    """As the user wrote it."""

    @property
    def path(self) -> str:
        """Return the metric that has to get there."""
        return f"{RESULT}.test.{self.method}.{self.quantity}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a target.

        Raises:
            FitError: not of the form METHOD=NUMBER UNIT, an unknown unit, a number that is not above 0.
        """
        found = _WRITTEN.fullmatch(text)
        units = "kcal/mol, kJ/mol or meV of a molecule, meV/atom, or meV/A of forces"
        if not found:
            raise FitError(
                f"--target {text!r}: expected METHOD=NUMBER and a unit, for example cc=1.0kcal/mol ({units})"
            )
        unit = found["unit"] or ""
        if unit not in KINDS:
            raise FitError(f"--target {text!r}: unit {unit!r}, expected {units}.{nearest(unit, KINDS)}")
        try:
            number = float(found["number"])
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise FitError(f"--target {text!r}: expected a number above 0, got {found['number']!r}")
        quantity, size = KINDS[unit]
        return cls(found["method"], quantity, number * size, f"{number:g} {unit}")


class Aim(NamedTuple):
    """The cheapest way to a target error."""

    target: Target
    decision: Decision
    """For the target's own metric."""
    even: Design | None
    """The cheapest design whose predicted error is not above the target; None where none within reach is."""
    sure: Design | None
    """The cheapest whose 95 % prediction interval lies below."""


def aim(decision: Decision, target: Target) -> Aim:
    """Return the cheapest way to a target.

    Args:
        decision: for the target's own metric.
        target: the error.
    """
    return Aim(target, decision, *decision.cheapest(target.value))
