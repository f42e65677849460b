"""Whether forces are the slope of the energies: the test of units that needs no usual size of either.

Between two structures of the same atoms that lie close together, E_2 - E_1 = -(F_1 + F_2)/2 . (R_2 - R_1), but for
terms of the third order. The ratio of both sides is 1 in consistent units, 51.4 where forces in hartree/bohr were taken
for eV/angstrom, -1 where gradients were taken for forces. Where the data have no such pairs, or the ratios do not
agree (minima, rare conformers), nothing is said.

Shapes: `g` structures of the same `m` atoms, `p` pairs of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.chunks import any_atom, carries, take

AT_ONCE = 200
"""Structures of a part that are looked at."""
ALIKE = 30
"""Structures of the same atoms in them, at most."""
ENOUGH = 10_000
"""Structures of a method, after which no more are looked at."""
LEAST = 10
"""Pairs that a judgement needs at least."""
MOVED = (1e-3, 0.15)
"""Root mean square displacement of the atoms of a pair, angstrom, at least (files are rounded) and at most."""
NEAR, AGREE = 0.25, 0.6
"""At least the share AGREE of the ratios lies within NEAR of their median, relative to it; 0.8 to 0.9 in usual sets."""

Array = NDArray[np.float64]


class _Alike(NamedTuple):
    """Structures of the same atoms in the same order."""

    positions: Array
    """(g, m, 3) angstrom, around the centre."""
    energy: Array
    """(g,) eV."""
    forces: Array
    """(g, m, 3) eV/angstrom."""
    cell: Array | None
    """(g, 3, 3); None for molecules, which may turn."""
    wrapped: bool
    """Whether all three directions are periodic."""

    def taken(self, index: NDArray[np.int64]) -> _Alike:
        cell = None if self.cell is None else self.cell[index]
        return _Alike(self.positions[index], self.energy[index], self.forces[index], cell, self.wrapped)

    def turned(self, onto: Array) -> _Alike:
        """Return molecules turned onto positions, (m, 3) or (g, m, 3), with the least squares (Kabsch 1976)."""
        if self.cell is not None:
            return self
        u, _, vt = np.linalg.svd(np.swapaxes(self.positions, 1, 2) @ onto)
        u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]  # no reflections
        turn = u @ vt
        return self._replace(positions=self.positions @ turn, forces=self.forces @ turn)


class _Pairs(NamedTuple):
    change: Array
    """(p,) of the energy, eV."""
    work: Array
    """(p,) of the forces, eV."""
    sizes: Array
    """(p,) atoms of the structures."""


class Slope(NamedTuple):
    """Change of energy over work of the forces, None where the pairs do not agree on one."""

    plain: float | None
    """1 where the forces are those of the energies."""
    per_atom: float | None
    """The same with the energies times the number of atoms: 1 where the energies are per atom."""


class Slopes:
    """Pairs of near structures among those that pass."""

    def __init__(self) -> None:
        self._pairs: dict[str, list[_Pairs]] = {}
        self._seen: dict[str, int] = {}

    def add(self, chunk: Chunk) -> None:
        """Take the pairs among the first structures of a part."""
        for method in chunk.forces:
            if self._seen.get(method, 0) >= ENOUGH:
                continue
            keep = carries(chunk, method)
            keep &= ~any_atom(chunk, ~np.isfinite(chunk.positions))
            keep[np.flatnonzero(keep)[AT_ONCE:]] = False
            self._seen[method] = self._seen.get(method, 0) + int(keep.sum())
            pairs = self._pairs.setdefault(method, [])
            pairs += [_pairs(alike) for alike in _alike(take(chunk._replace(columns={}), keep), method)]

    def ratio(self, method: str) -> Slope:
        """Return what the pairs of a method say."""
        pairs = [own for own in self._pairs.get(method, []) if len(own.work)]
        if not pairs:
            return Slope(None, None)
        change, work, sizes = (np.concatenate(own) for own in zip(*pairs, strict=True))
        large = np.abs(work) >= np.median(np.abs(work))  # a small sum of large terms has their errors
        if large.sum() < LEAST:
            return Slope(None, None)
        ratios = change[large] / work[large]
        return Slope(_agreed(ratios), _agreed(ratios * sizes[large]))


def _agreed(ratios: Array) -> float | None:
    """Return the median, where the ratios agree on it."""
    median = float(np.median(ratios))
    agree = np.abs(ratios - median) <= NEAR * abs(median)
    return median if median and agree.mean() >= AGREE else None


def _alike(chunk: Chunk, method: str) -> list[_Alike]:
    """Return the structures in groups of the same atoms, two or more in each."""
    ends = np.cumsum(chunk.sizes)
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for index, (end, size) in enumerate(zip(ends.tolist(), chunk.sizes.tolist(), strict=True)):
        pbc = b"" if chunk.pbc is None or not chunk.pbc[index].any() else chunk.pbc[index].tobytes()
        groups.setdefault((chunk.species[end - size : end].tobytes(), pbc), []).append(index)
    found = []
    for (_, pbc), members in groups.items():
        if len(members) < 2:
            continue
        own = np.array(members[:ALIKE])
        atoms = (ends[own] - chunk.sizes[own])[:, None] + np.arange(int(chunk.sizes[own[0]]))
        positions = chunk.positions[atoms].astype(np.float64)
        if not pbc:
            positions -= positions.mean(axis=1, keepdims=True)
        cell = chunk.cell[own] if pbc and chunk.cell is not None else None
        forces = chunk.forces[method][atoms].astype(np.float64)
        found.append(_Alike(positions, chunk.energies[method][own], forces, cell, all(pbc)))
    return found


def _pairs(alike: _Alike) -> _Pairs:
    """Return each structure with the one nearest to it."""
    alike = alike.turned(alike.positions[0])
    flat = alike.positions.reshape(len(alike.energy), -1)
    square = (flat**2).sum(axis=1)
    apart = square[:, None] + square - 2 * flat @ flat.T
    np.fill_diagonal(apart, np.inf)
    pairs = np.unique(np.sort(np.stack([np.arange(len(flat)), apart.argmin(axis=1)], axis=1), axis=1), axis=0)
    first, other = alike.taken(pairs[:, 0]), alike.taken(pairs[:, 1])
    other = other.turned(first.positions)
    moved = other.positions - first.positions
    same = np.ones(len(pairs), np.bool_)
    if first.cell is not None and other.cell is not None:
        same = np.isclose(first.cell, other.cell, atol=1e-4).all(axis=(1, 2))
        if first.wrapped:
            moved -= np.round(moved @ np.linalg.inv(first.cell)) @ first.cell
        moved -= moved.mean(axis=1, keepdims=True)
    work = -((first.forces + other.forces) / 2 * moved).sum(axis=(1, 2))
    distance = np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    keep = same & (distance >= MOVED[0]) & (distance <= MOVED[1]) & (work != 0)
    sizes = np.full(int(keep.sum()), float(moved.shape[1]))
    return _Pairs((other.energy - first.energy)[keep], work[keep], sizes)
