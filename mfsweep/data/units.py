"""A guess at the unit of labels that cannot be hartree: the layout states no units, and files in eV are common.

Two yardsticks that hold for every electronic-structure method: what is left after the energy offsets spreads by
less than a few eV/atom, and no total energy exceeds that of the bare Thomas-Fermi atoms (valence-only methods stay
far below it). Forces have their usual size at thermal and stretched geometries.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HARTREE = 27.211386245988
"""eV (CODATA 2018)."""
FARADAY = 96485.33212331
"""Joule per mole in an eV (exact in the SI of 2019, to the digits given)."""

UNITS = {
    "hartree": HARTREE,
    "Ry": HARTREE / 2,
    "eV": 1.0,
    "kcal/mol": 4184 / FARADAY,
    "kJ/mol": 1000 / FARADAY,
    "meV": 1e-3,
}
"""Units in which labels come, in eV, the largest first."""

BOHR = 0.529177210903
"""Angstrom (CODATA 2018)."""
LENGTHS = {"Ang": 1.0, "bohr": BOHR}
"""Units of length, in angstrom."""

THOMAS_FERMI = 0.7687 * HARTREE
"""-E / Z^(7/3) of the Thomas-Fermi atom, eV: above the true value for every Z."""
HIGHEST_RATIO = 1.1
"""Mean |E| over the Thomas-Fermi energy, at most; all-electron methods have 0.76, GFN2-xTB 0.05."""
HIGHEST_HYDROGEN = 40.0
"""|E0(H)| at most, eV: 14 to 17 in every total-energy method, all-electron or not; the rest is for ill-posed fits."""
HIGHEST_SPREAD = 2.0
"""Standard deviation of the energy per atom after the offsets at most, eV; 0.1 to 0.3 in usual sets."""
HIGHEST_FORCE, USUAL_FORCE = 12.0, 1.5
"""Root mean square of force components at most, and as in usual sets, eV/angstrom."""


class Units(NamedTuple):
    """The units of a file, by the names in which a user gives them."""

    energy: str
    forces: str
    positions: str

    @property
    def energy_factor(self) -> float:
        """Return eV per unit of energy."""
        return UNITS[self.energy]

    @property
    def forces_factor(self) -> float:
        """Return eV/angstrom per unit of force."""
        energy, _, length = self.forces.rpartition("/")
        return UNITS[energy] / LENGTHS[length]

    @property
    def positions_factor(self) -> float:
        """Return angstrom per unit of length."""
        return LENGTHS[self.positions]


ANI_UNITS = Units("hartree", "hartree/Ang", "Ang")
"""Units of the ANI-1x layout."""
ASE_UNITS = Units("eV", "eV/Ang", "Ang")
"""Units of ASE, and of a data set."""


class EnergyScale(NamedTuple):
    """How large a method's energies are, as read (taken for hartree)."""

    spread: float
    """Standard deviation of energy per atom after the offsets, eV."""
    ratio: float
    """Mean |E| over the mean Thomas-Fermi energy."""
    hydrogen: float
    """|E0(H)|, eV; 0 where the fit has no hydrogen."""

    def plausible(self, factor: float = 1.0) -> bool:
        """Return whether energies `factor` times as large could be total energies."""
        return (
            self.spread * factor <= HIGHEST_SPREAD
            and self.ratio * factor <= HIGHEST_RATIO
            and self.hydrogen * factor <= HIGHEST_HYDROGEN
        )

    def fitting(self) -> str | None:
        """Return the largest unit in which these energies are plausible."""
        return next((unit for unit, size in UNITS.items() if self.plausible(size / HARTREE)), None)


def energy_scale(
    energy: NDArray[np.float64],
    left: NDArray[np.float64],
    counts: NDArray[np.int64],
    offsets: dict[int, float],
) -> EnergyScale:
    """Measure energies.

    Args:
        energy: (n,) total energies, eV.
        left: (n,) energy per atom after the offsets, eV.
        counts: (n, len(offsets)) atoms of each element, in the offsets' order.
        offsets: atomic number -> eV.
    """
    atomic = THOMAS_FERMI * np.array(list(offsets), np.float64) ** (7 / 3)
    return EnergyScale(
        spread=float(np.std(left)),
        ratio=float(np.abs(energy).mean() / (counts @ atomic).mean()),
        hydrogen=abs(offsets.get(1, 0.0)),
    )


def force_unit(rms: float) -> str | None:
    """Return the unit of energy that brings forces nearest to their usual size, or None where they are plausible.

    Args:
        rms: root mean square of the components, eV/angstrom, read as hartree/angstrom.
    """
    if rms <= HIGHEST_FORCE:
        return None
    return min(UNITS, key=lambda unit: abs(np.log(rms * UNITS[unit] / HARTREE / USUAL_FORCE)))
