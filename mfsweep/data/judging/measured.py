"""What is known of the labels of a method, measured on a sample of them, and what it would be in other units.

Shapes: `n` structures of the sample, `Z` elements by atomic number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.judging.slope import Slope
from mfsweep.data.units import EnergyScale, energy_scale

VARIED = 0.05
"""Standard deviation of the sizes over their mean, from which on it can be told whether energies grow with them."""

Array = NDArray[np.float64]


class MeasuredLabels(NamedTuple):
    """What is known of energies and forces, in eV and angstrom."""

    scale: EnergyScale
    offsets: Mapping[int, float]
    """Atomic number -> E0; empty where the compositions do not determine them."""
    spread: float
    """Standard deviation of the energy within compositions, eV/atom."""
    rms: float | None
    """Root mean square of the force components; None without forces."""
    slope: float | None
    """Change of energy over work of the forces; None where it is not known."""

    def times(self, energy: float, forces: float) -> MeasuredLabels:
        """Return the same of energies and forces `energy` and `forces` times as large."""
        return MeasuredLabels(
            EnergyScale(*(energy * value for value in self.scale)),
            {z: energy * e for z, e in self.offsets.items()},
            energy * self.spread,
            None if self.rms is None else abs(forces) * self.rms,
            None if self.slope is None else self.slope * energy / forces,
        )


class Evidence(NamedTuple):
    """What a sample says of a method's labels."""

    plain: MeasuredLabels
    """What is known of the energies as they are."""
    whole: MeasuredLabels
    """What is known of the energies times the number of atoms: as `plain` where they turn out to be per atom."""
    unlike: float | None
    """What element fractions leave of the energies over what element counts leave: far below 1 where they are per atom,
    far above where they are of the whole structure. None where the sizes do not vary, or either leaves nothing."""
    alike: bool
    """Whether all energies are the same number."""


def evidence(energy: Array, counts: NDArray[np.int64], rms: float | None, slope: Slope) -> Evidence:
    """Measure labels.

    Args:
        energy: (n,) eV.
        counts: (n, Z) atoms of each element.
        rms: root mean square of the force components, eV/angstrom; None without forces.
        slope: what pairs of near structures say.
    """
    sizes = counts.sum(axis=1)
    plain = _measured(energy, counts, rms, slope.plain)
    whole = _measured(energy * sizes, counts, rms, slope.per_atom)
    unlike = None
    if sizes.std() > VARIED * sizes.mean():
        by_counts, by_fractions = (_residual(energy, rows) for rows in (counts, counts / sizes[:, None]))
        if min(by_counts, by_fractions) > 1e-6 * np.abs(energy).max():
            unlike = by_fractions / by_counts
    return Evidence(plain, whole, unlike, bool(np.ptp(energy) == 0))


def _residual(energy: Array, rows: NDArray[np.floating | np.integer]) -> float:
    """Return the root mean square that rows of elements leave of energies by least squares."""
    own = rows[:, rows.any(axis=0)].astype(np.float64)
    solution = np.linalg.lstsq(own, energy, rcond=None)[0]
    return float(np.sqrt(((energy - own @ solution) ** 2).mean()))


def _measured(energy: Array, counts: NDArray[np.int64], rms: float | None, slope: float | None) -> MeasuredLabels:
    scale, offsets = _scale_of(energy, counts)
    return MeasuredLabels(scale, offsets, _spread_within(energy, counts), rms, slope)


def _spread_within(energy: Array, counts: NDArray[np.int64]) -> float:
    """Return the standard deviation of the energy per atom within compositions; 0 where each has one structure."""
    _, own = np.unique(counts, axis=0, return_inverse=True)
    own = own.reshape(-1)
    per_atom = energy / counts.sum(axis=1)
    left = per_atom - (np.bincount(own, per_atom) / np.bincount(own))[own]
    free = len(own) - len(np.unique(own))
    return float(np.sqrt((left**2).sum() / free)) if free else 0.0


def _scale_of(energy: Array, counts: NDArray[np.int64]) -> tuple[EnergyScale, dict[int, float]]:
    """Return how large energies are, eV, and the energy offsets, none where the structures do not determine them."""
    elements = np.flatnonzero(counts.any(axis=0))
    own = counts[:, elements]
    solution, _, rank, _ = np.linalg.lstsq(own.astype(np.float64), energy, rcond=None)
    left = (energy - own @ solution) / own.sum(axis=1)
    offsets = dict(zip(elements.tolist(), solution.tolist(), strict=True))
    scale = energy_scale(energy, left, own, offsets)
    # An offset that the structures leave open says nothing.
    return (scale, offsets) if rank == len(elements) else (scale._replace(hydrogen=0.0), {})
