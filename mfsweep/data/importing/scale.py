"""A sample of the labels of a file, taken while they pass, on which their units are judged (judge.py).

Shapes: `n` structures of the sample, `Z` elements by atomic number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.csr import Chunk
from mfsweep.data.importing import judge
from mfsweep.data.importing.keys import Units
from mfsweep.data.importing.parts import take
from mfsweep.data.importing.slope import Slopes
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import EnergyScale, energy_scale
from mfsweep.errors import DataError

LIMIT = 10_000
"""Structures of a sample at most."""
LEAST = 10
"""Structures with a label that a judgement needs at least."""


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
        self._slopes = Slopes()
        self._seen = 0
        self._stride = 1
        self._kept: list[_Rows] = []

    def add(self, chunk: Chunk) -> None:
        """Take some of the structures that pass."""
        self._slopes.add(chunk)
        index = self._seen + np.arange(len(chunk.sizes))
        self._seen += len(index)
        while sum(len(rows.index) for rows in self._kept) + (index % self._stride == 0).sum() > LIMIT:
            self._stride *= 2
            self._kept = [rows.every(self._stride) for rows in self._kept]
        keep = index % self._stride == 0
        if keep.any():
            self._kept.append(_rows_of(index[keep], take(chunk, keep)))

    def check(self, place: str, units: Units, *, stated: bool = False) -> list[str]:
        """Judge the energies and forces.

        Args:
            place: the file, for messages.
            units: in which they were taken to be.
            stated: whether the user said so; else they are those of the layout.

        Returns:
            Warnings: units that are possible, but not the most likely.

        Raises:
            DataError: labels that cannot be in these units, or that clearly are in others which the user did not state.
        """
        warnings: list[str] = []
        for method in self._kept[0].energies if self._kept else {}:
            own = self._labels(method)
            if own is None:
                continue
            suspect = judge.unlikely(own, units)
            refused = judge.impossible(own, units) or ([] if stated else suspect)
            if refused:
                raise DataError(f"{place}: the {method} {refused[0]}, or --trust-units if they are right")
            warnings += [f"{place}: the {method} {text}" for text in suspect or judge.notes(own, units)]
        return warnings

    def _labels(self, method: str) -> judge.Measured | None:
        """Return what is known of a method's labels, None where these are too few to judge."""
        energy = np.concatenate([rows.energies[method] for rows in self._kept])
        labelled = ~np.isnan(energy)
        if labelled.sum() < LEAST:
            return None
        counts = np.concatenate([rows.counts for rows in self._kept])
        scale, offsets = _scale_of(energy[labelled], counts[labelled])
        rms = None
        if method in self._kept[0].squares:
            square = np.concatenate([rows.squares[method] for rows in self._kept])
            forces = ~np.isnan(square)
            if forces.sum() >= LEAST:
                rms = float(np.sqrt(square[forces].sum() / (3 * counts[forces].sum())))
        spread = _spread_within(energy[labelled], counts[labelled])
        return judge.Measured(scale, offsets, spread, rms, self._slopes.ratio(method))


def _spread_within(energy: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the standard deviation of the energy per atom within compositions; 0 where each has one structure."""
    _, own = np.unique(counts, axis=0, return_inverse=True)
    own = own.reshape(-1)
    per_atom = energy / counts.sum(axis=1)
    left = per_atom - (np.bincount(own, per_atom) / np.bincount(own))[own]
    free = len(own) - len(np.unique(own))
    return float(np.sqrt((left**2).sum() / free)) if free else 0.0


def _scale_of(energy: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[EnergyScale, dict[int, float]]:
    """Return how large energies are, eV, and the energy offsets, none where the structures do not determine them."""
    elements = np.flatnonzero(counts.any(axis=0))
    own = counts[:, elements]
    solution, _, rank, _ = np.linalg.lstsq(own.astype(np.float64), energy, rcond=None)
    left = (energy - own @ solution) / own.sum(axis=1)
    offsets = dict(zip(elements.tolist(), solution.tolist(), strict=True))
    scale = energy_scale(energy, left, own, offsets)
    # An offset that the structures leave open says nothing.
    return (scale, offsets) if rank == len(elements) else (scale._replace(hydrogen=0.0), {})


def _rows_of(index: NDArray[np.int64], chunk: Chunk) -> _Rows:
    row = np.repeat(np.arange(len(index)), chunk.sizes)
    width = len(SYMBOLS)
    counts = np.bincount(row * width + chunk.species, minlength=len(index) * width).reshape(-1, width)
    squares = {}
    for method, forces in chunk.forces.items():
        square = (forces.astype(np.float64) ** 2).sum(axis=1)
        squares[method] = np.bincount(row, square, len(index)).astype(np.float64)
    return _Rows(index, counts, dict(chunk.energies), squares)
