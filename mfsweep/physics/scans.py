"""Bonds pressed and pulled, in search of false minima; and whether the forces are the slope of the energy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mfsweep.physics.engine import Engine
from mfsweep.physics.molecules import halves
from mfsweep.physics.settings import PhysicsChecks

_NEAR = (0.9, 1.1)
"""Lengths, in those of the relaxed bond, between which its true minimum is looked for."""
_DIRECTIONS = 3


class Stretch(NamedTuple):
    """One bond stretched."""

    bond: str
    """`C0-H3`: elements and places of the two atoms."""
    lengths: NDArray[np.float64]
    """(P,) in lengths of the relaxed bond."""
    energies: NDArray[np.float64]
    """(P,) eV above the minimum near the relaxed length; NaN where it failed."""


def stretches(engine: Engine, atoms: Atoms, checks: PhysicsChecks) -> list[Stretch]:
    """Press and pull every bond of a molecule that no ring holds; none of a crystal."""
    if atoms.pbc.any():
        return []
    lengths = np.linspace(checks.shortest, checks.longest, checks.points)
    bonds = halves(atoms)
    moved = []
    for first, second, moves in bonds:
        along = atoms.positions[second] - atoms.positions[first]
        for length in lengths:
            one = atoms.copy()
            one.positions[moves] += (length - 1) * along
            moved.append(one)
    if not moved:
        return []
    energies = engine(moved).energy.reshape(len(bonds), len(lengths))
    near = (lengths >= _NEAR[0]) & (lengths <= _NEAR[1])
    found = []
    for (first, second, _), row in zip(bonds, energies, strict=True):
        least = np.nanmin(row[near]) if np.isfinite(row[near]).any() else np.nan
        found.append(Stretch(f"{atoms.symbols[first]}{first}-{atoms.symbols[second]}{second}", lengths, row - least))
    return found


def deepest(stretch: Stretch) -> float:
    """Return how deep the deepest false minimum of a stretch is, eV; 0: there is none, infinity: it failed.

    From the true minimum outwards both ways the energy must not fall: the depth is the most that it falls on one way
    below the highest energy passed on it. A molecule torn apart ends on a plateau, whose small hollows count little.
    """
    if not np.isfinite(stretch.energies).all():
        return float("inf")
    near = np.flatnonzero((stretch.lengths >= _NEAR[0]) & (stretch.lengths <= _NEAR[1]))
    bottom = near[int(stretch.energies[near].argmin())]
    ways = stretch.energies[bottom:], stretch.energies[: bottom + 1][::-1]
    return max(float((np.maximum.accumulate(way) - way).max()) for way in ways)


def curve_error(own: Stretch, reference: Stretch) -> float | None:
    """Return the mean absolute difference of two stretches' energies where both are finite, eV; None: nowhere."""
    both = np.isfinite(own.energies) & np.isfinite(reference.energies)
    return float(np.abs(own.energies - reference.energies)[both].mean()) if both.any() else None


def inconsistency(engine: Engine, atoms: Atoms, checks: PhysicsChecks) -> float:
    """Return the largest difference between forces along random directions and the slope of the energy, eV/angstrom."""
    rng = np.random.default_rng(checks.seed + 2)
    directions = rng.normal(size=(_DIRECTIONS, len(atoms), 3))
    directions /= np.linalg.norm(directions, axis=(1, 2), keepdims=True)
    step = checks.displacement / 10
    moved = [atoms]
    for direction in directions:
        for sign in (1, -1):
            one = atoms.copy()
            one.positions += sign * step * direction
            moved.append(one)
    found = engine(moved)
    energies = found.energy[1:].reshape(_DIRECTIONS, 2)
    slopes = (energies[:, 0] - energies[:, 1]) / (2 * step)
    forces = np.einsum("dni,ni->d", directions, found.forces[0])
    return float(np.abs(forces + slopes).max())
