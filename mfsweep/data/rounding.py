"""Total energies that were stored as float32: of a large molecule they are rounded by as much as a good model errs.

Whatever type an array has today, its numbers tell: all of them are float32 numbers in the unit they were written in.
Shapes: `n` structures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.units import UNITS

HARMLESS = 0.1
"""Rounding up to this is not spoken of, meV/atom."""
MEV = 1000.0
_FEW = 1000
"""Energies that are looked at first."""


class Rounding(NamedTuple):
    """Energies that a file held as float32."""

    unit: str
    """In which they were written."""
    worst: float
    """By how much the first of the worst may be rounded, meV/atom."""
    first: int
    """Which one that is."""
    above: int
    """Energies that may be rounded by more than HARMLESS."""

    @property
    def sentence(self) -> str:
        """Return what a user should know of it."""
        return (
            f"energies were stored as float32 (in {self.unit}), which rounds {self.above:,} of them by up to "
            f"{self.worst:.2g} meV/atom: get them as float64, or no model can be told to be better than that"
        )


def float32_rounding(energy: NDArray[np.float64], sizes: NDArray[np.integer]) -> Rounding | None:
    """Return how energies are rounded, or None where they are no float32 numbers, or rounded harmlessly.

    Args:
        energy: (n,) total energies, eV; NaN where there is none.
        sizes: (n,) atoms.
    """
    known = np.flatnonzero(np.isfinite(energy))
    unit = next((name for name in UNITS if _all_float32(energy[known[:_FEW]], UNITS[name])), None)
    if not len(known) or unit is None or not _all_float32(energy[known], UNITS[unit]):
        return None
    written = np.abs(energy[known] / UNITS[unit]).astype(np.float32)
    by = MEV * UNITS[unit] * np.spacing(written).astype(np.float64) / 2 / sizes[known]
    worst = int(np.argmax(by))
    above = int(np.count_nonzero(by > HARMLESS))
    return Rounding(unit, float(by[worst]), int(known[worst]), above) if above else None


def _all_float32(energy: NDArray[np.float64], unit: float) -> bool:
    """Return whether all energies are float32 numbers in a unit, but for what the conversion to eV has rounded."""
    written = energy / unit
    short = written.astype(np.float32).astype(np.float64)
    return bool((np.abs(written - short) <= 2 * np.spacing(np.abs(written))).all())
