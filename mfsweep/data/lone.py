"""Isolated atoms among structures: energies by element, offered as energy offsets, and no structures to train on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import ani1x, dataset
from mfsweep.data.dataset import Chunk
from mfsweep.data.structures import SYMBOLS

FAR = 6.0
"""Angstrom between an atom and its images from which on it is alone: no crystal of one atom is so wide."""
COLUMN, VALUE = "config_type", "isolatedatom"
SAME = 1e-3
"""eV by which two energies of one atom differ at most without a word."""


def isolated(
    sizes: NDArray[np.int64],
    cell: NDArray[np.float64] | None,
    pbc: NDArray[np.bool_] | None,
    named: Sequence[str] | None = None,
) -> NDArray[np.bool_]:
    """Return which of n structures are one atom alone, (n,).

    Args:
        sizes: (n,) atoms.
        cell: (n, 3, 3) angstrom.
        pbc: (n, 3).
        named: n texts of COLUMN, where there is such a column.
    """
    found = np.asarray(sizes == 1)
    if pbc is None or cell is None or not pbc[found].any():
        return found
    single = np.flatnonzero(found)
    steps = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])
    allowed = (pbc[single][:, None] | (steps == 0)[None]).all(axis=2)
    lengths = np.linalg.norm(np.einsum("si,nij->nsj", steps, np.nan_to_num(cell[single])), axis=2)
    near = (np.where(allowed, lengths, np.inf) < FAR).any(axis=1)
    if named is not None:
        near &= np.array([_plain(named[index]) != VALUE for index in single.tolist()], np.bool_)
    found[single[near]] = False
    return found


def _plain(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()


def isolated_energies(path: Path) -> dict[str, dict[str, float]]:
    """Return the energies of the isolated atoms of a source: key of energies -> symbol -> eV, the lowest of several.

    Raises:
        DataError: the file cannot be read.
    """
    if dataset.is_dataset(path):
        kept: dict[str, dict[str, float]] = dataset.provenance(path).get("isolated_atoms", {})
        return {f"{method}.energy": own for method, own in kept.items()}
    found: dict[str, dict[str, float]] = {}
    for key, number, energy in ani1x.single_atoms(path):
        own = found.setdefault(key, {})
        own[SYMBOLS[number]] = min(energy, own.get(SYMBOLS[number], energy))
    return found


class IsolatedAtoms:
    """Takes the isolated atoms out of structures that pass, and keeps their energies."""

    def __init__(self) -> None:
        self.count = 0
        """How many have passed."""
        self._energies: dict[str, dict[str, list[float]]] = {}

    def take_from(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Keep the energies of the isolated atoms; return which structures are none, (n,)."""
        found = isolated(chunk.sizes, chunk.cell, chunk.pbc, chunk.columns.get(COLUMN))
        first = np.cumsum(chunk.sizes) - chunk.sizes
        self.count += int(found.sum())
        for index in np.flatnonzero(found).tolist():
            symbol = SYMBOLS[int(chunk.species[first[index]])]
            for method, energy in chunk.energies.items():
                if np.isfinite(energy[index]):
                    self._energies.setdefault(method, {}).setdefault(symbol, []).append(float(energy[index]))
        return ~found

    @property
    def offsets(self) -> dict[str, dict[str, float]]:
        """Return label method -> symbol -> eV: of several energies of one atom the lowest."""
        return {
            method: {symbol: min(values) for symbol, values in sorted(own.items())}
            for method, own in sorted(self._energies.items())
        }

    def notes(self) -> list[str]:
        """Return what should be known of them."""
        if not self.count:
            return []
        told = "; ".join(f"{method}: {', '.join(own)}" for method, own in self.offsets.items()) or "no energies"
        text = f"{self.count:,} isolated atoms are left out of the structures ({told}). `offsets: isolated_atoms` in a "
        found = [text + "spec takes their energies as energy offsets"]
        for method, own in self._energies.items():
            for symbol, values in own.items():
                if max(values) - min(values) > SAME:
                    found.append(
                        f"the isolated {symbol} has {len(values)} energies of {method}, {min(values):.6g} to "
                        f"{max(values):.6g} eV: the lowest is taken"
                    )
        return found
