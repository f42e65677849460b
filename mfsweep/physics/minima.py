"""Relaxed geometries and their harmonic frequencies, and how far they are from a reference's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build.rotate import minimize_rotation_and_translation
from ase.optimize import BFGS
from ase.vibrations.data import VibrationsData
from numpy.typing import NDArray

from mfsweep.physics.engine import Engine, EngineCalculator
from mfsweep.physics.settings import PhysicsChecks

_LINEAR = 1e-2
"""Least over greatest moment of inertia, below which a molecule is a line."""


class Minimum(NamedTuple):
    """Where a relaxation ended."""

    atoms: Atoms
    converged: bool
    frequencies: NDArray[np.float64] | None
    """Vibrations, 1/cm, ascending, imaginary ones negative, none of one atom; None where it has not converged, or where
    forces beside it are not finite."""


def relax(engine: Engine, start: Atoms, checks: PhysicsChecks) -> Minimum:
    """Return the minimum near a geometry, the cell of a crystal kept."""
    atoms = start.copy()
    atoms.calc = EngineCalculator(engine)
    converged = False
    if np.isfinite(atoms.get_forces()).all():
        with BFGS(atoms, logfile=None) as optimiser:
            for state in optimiser.irun(fmax=checks.force, steps=checks.steps):
                converged = state
                if not np.isfinite(atoms.get_forces()).all():
                    break
    atoms.calc = None
    converged = bool(converged) and bool(np.isfinite(atoms.positions).all())
    return Minimum(atoms, converged, frequencies(engine, atoms, checks) if converged else None)


def frequencies(engine: Engine, atoms: Atoms, checks: PhysicsChecks) -> NDArray[np.float64] | None:
    """Return the vibrations at a minimum, as of `Minimum`, from central differences of the forces."""
    size, step = len(atoms), checks.displacement
    moved = []
    for atom in range(size):
        for axis in range(3):
            for sign in (1, -1):
                one = atoms.copy()
                one.positions[atom, axis] += sign * step
                moved.append(one)
    forces = np.array(engine(moved).forces).reshape(size, 3, 2, size, 3)
    if not np.isfinite(forces).all():
        return None
    hessian = -(forces[:, :, 0] - forces[:, :, 1]) / (2 * step)
    hessian = (hessian + hessian.transpose(2, 3, 0, 1)) / 2
    whole: NDArray[np.complex128] = np.asarray(VibrationsData(atoms, hessian).get_frequencies())
    signed = np.where(np.abs(whole.imag) > np.abs(whole.real), -np.abs(whole.imag), whole.real)
    order = np.argsort(np.abs(signed))
    return np.sort(signed[order[_rigid(atoms) :]])


def _rigid(atoms: Atoms) -> int:
    """Return how many motions of a structure change no distance."""
    if atoms.pbc.any():
        return 3
    if len(atoms) == 1:
        return 3
    moments = np.asarray(atoms.get_moments_of_inertia())
    return 5 if moments.min() < _LINEAR * moments.max() else 6


def apart(one: Atoms, other: Atoms) -> float:
    """Return the root mean square distance of two geometries of one structure, angstrom, laid onto each other."""
    if one.pbc.any():
        return float(np.sqrt(((one.positions - other.positions) ** 2).sum(axis=1).mean()))
    moved = other.copy()
    minimize_rotation_and_translation(one, moved)
    return float(np.sqrt(((one.positions - moved.positions) ** 2).sum(axis=1).mean()))


def frequency_error(
    own: Sequence[float] | NDArray[np.float64] | None, reference: NDArray[np.float64] | None
) -> float | None:
    """Return the mean absolute difference of sorted frequencies, 1/cm; None where there are none of both."""
    if own is None or reference is None or not len(reference) or len(own) != len(reference):
        return None
    return float(np.abs(np.asarray(own) - reference).mean())
