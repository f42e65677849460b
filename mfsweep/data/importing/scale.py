"""Whether labels can be in the units that are stated for them, on a sample taken while they pass.

Shapes: `n` structures of the sample, `Z` elements by atomic number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.csr import Chunk
from mfsweep.data.importing.keys import Units
from mfsweep.data.importing.parts import take
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import HARTREE, HIGHEST_FORCE, HIGHEST_SPREAD, EnergyScale, energy_scale, force_unit
from mfsweep.errors import DataError

LIMIT = 10_000
"""Structures of a sample at most."""
LEAST = 10
"""Structures with a label that a judgement needs at least."""
HYDROGEN = (10.0, 20.0)
"""|E0(H)| of every total-energy method lies between, eV."""
ALL_ELECTRON = (0.65, 0.95)
"""Mean |E| over the Thomas-Fermi energy of all-electron methods lies between."""


class _Rows(NamedTuple):
    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride] (tuple.index, never used)
    """(n,) structures by their order in the files."""
    counts: NDArray[np.int64]
    """(n, Z) atoms of each element."""
    energies: dict[str, NDArray[np.float64]]
    """Method -> (n,) eV."""
    squares: dict[str, NDArray[np.float64]]
    """Method -> (n,) sum of the squared components of the forces, (eV/angstrom)^2."""

    def every(self, stride: int) -> _Rows:
        keep = self.index % stride == 0
        return _Rows(
            self.index[keep],
            self.counts[keep],
            {method: energy[keep] for method, energy in self.energies.items()},
            {method: square[keep] for method, square in self.squares.items()},
        )


class Sample:
    """Every so-many-th structure, at most LIMIT of them however many pass."""

    def __init__(self) -> None:
        self._seen = 0
        self._stride = 1
        self._kept: list[_Rows] = []

    def add(self, chunk: Chunk) -> None:
        """Take some of the structures that pass."""
        index = self._seen + np.arange(len(chunk.sizes))
        self._seen += len(index)
        while sum(len(rows.index) for rows in self._kept) + (index % self._stride == 0).sum() > LIMIT:
            self._stride *= 2
            self._kept = [rows.every(self._stride) for rows in self._kept]
        keep = index % self._stride == 0
        if keep.any():
            self._kept.append(_rows_of(index[keep], take(chunk, keep)))

    def check(self, place: str, units: Units) -> list[str]:
        """Judge the energies and forces.

        Args:
            place: the file, for messages.
            units: as stated.

        Returns:
            Warnings: units that are possible, but not the most likely.

        Raises:
            DataError: labels that cannot be in these units.
        """
        methods = self._kept[0].energies if self._kept else {}
        warnings: list[str] = []
        for method in methods:
            warnings += self._check_energies(place, units, method)
            self._check_forces(place, units, method)
        return warnings

    def _check_energies(self, place: str, units: Units, method: str) -> Iterator[str]:
        energy = np.concatenate([rows.energies[method] for rows in self._kept])
        labelled = ~np.isnan(energy)
        if labelled.sum() < LEAST:
            return
        counts = np.concatenate([rows.counts for rows in self._kept])[labelled]
        factor = units.energy_factor / HARTREE
        scale, determined = _scale_of(energy[labelled] / factor, counts)
        if not scale.plausible(factor):
            unit = scale.fitting()
            advice = f"They would fit as {unit}: say --unit energy={unit}" if unit else "No common unit fits"
            raise DataError(
                f"{place}: the {method} energies do not look like {units.energy}: after energy offsets by element they "
                f"spread by {scale.spread * factor:.3g} eV/atom (expected below {HIGHEST_SPREAD:g}), and they are "
                f"{scale.ratio * factor:.2g} times those of Thomas-Fermi atoms (expected below 1). {advice}, or "
                "--trust-units if they are right"
            )
        if units.energy != "hartree" and _like_hartree(scale, determined):
            yield (
                f"the {method} energies are taken for {units.energy}, but would be of the usual size as hartree: "
                "if they are, say --unit energy=hartree"
            )

    def _check_forces(self, place: str, units: Units, method: str) -> None:
        if method not in self._kept[0].squares:
            return
        square = np.concatenate([rows.squares[method] for rows in self._kept])
        atoms = np.concatenate([rows.counts.sum(axis=1) for rows in self._kept])
        labelled = ~np.isnan(square)
        if labelled.sum() < LEAST:
            return
        rms = float(np.sqrt(square[labelled].sum() / (3 * atoms[labelled].sum())))
        if rms <= HIGHEST_FORCE:
            return
        unit = force_unit(max(rms / units.forces_factor * HARTREE, 2 * HIGHEST_FORCE))
        raise DataError(
            f"{place}: the {method} forces do not look like {units.forces}: their root mean square is {rms:.3g} "
            f"eV/angstrom (expected below {HIGHEST_FORCE:g}). They would fit as {unit}/Ang: say --unit "
            f"forces={unit}/Ang, or --trust-units if they are right"
        )


def _scale_of(energy: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[EnergyScale, bool]:
    """Return how large energies are, taken for hartree, and whether the structures determine the energy offsets."""
    elements = np.flatnonzero(counts.any(axis=0))
    own = counts[:, elements]
    solution, _, rank, _ = np.linalg.lstsq(own.astype(np.float64), energy, rcond=None)
    left = (energy - own @ solution) / own.sum(axis=1)
    scale = energy_scale(energy, left, own, dict(zip(elements.tolist(), solution.tolist(), strict=True)))
    determined = bool(rank == len(elements))
    # An offset that the structures leave open says nothing.
    return scale if determined else scale._replace(hydrogen=0.0), determined


def _like_hartree(scale: EnergyScale, determined: bool) -> bool:
    """Return whether energies, taken for hartree, have the size of total energies, and not by chance."""
    if determined and scale.hydrogen:
        return HYDROGEN[0] <= scale.hydrogen <= HYDROGEN[1]
    return ALL_ELECTRON[0] <= scale.ratio <= ALL_ELECTRON[1]


def _rows_of(index: NDArray[np.int64], chunk: Chunk) -> _Rows:
    row = np.repeat(np.arange(len(index)), chunk.sizes)
    width = len(SYMBOLS)
    counts = np.bincount(row * width + chunk.species, minlength=len(index) * width).reshape(-1, width)
    squares = {}
    for method, forces in chunk.forces.items():
        square = (forces.astype(np.float64) ** 2).sum(axis=1)
        squares[method] = np.bincount(row, square, len(index)).astype(np.float64)
    return _Rows(index, counts, dict(chunk.energies), squares)
