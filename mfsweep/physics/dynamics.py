"""Molecular dynamics of many structures at once: how far the energy drifts, and how long a hot trajectory lasts.

All structures, at all temperatures, are one ase.Atoms whose parts do not see each other: one step of ASE's integrator
is one batch of the model. What falls apart is taken out, and the others go on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from mfsweep.physics.engine import Engine, EngineCalculator
from mfsweep.physics.molecules import bonds_of, pairs_of
from mfsweep.physics.settings import PhysicsChecks

WATCHED = 10
"""Steps between looks at the trajectories."""
COLLIDED = 0.4
"""Atoms that come nearer than this times the sum of their covalent radii have run into one another."""
BROKEN = 2.0
"""A bond longer than this times its length at the start is broken: in 2 ps at 1000 K none of a small molecule's is."""


class Drift(NamedTuple):
    """A structure that moved at constant energy."""

    drift: float | None
    """Slope of the total energy, eV/atom/ps; None where the trajectory did not last."""
    fluctuation: float | None
    """Standard deviation of the total energy about that line, eV/atom."""
    lasted: float
    """Picoseconds."""


class Lasted(NamedTuple):
    """A structure that moved at one temperature."""

    temperature: float
    """The thermostat's, kelvin."""
    lasted: float
    """Picoseconds until it fell apart; the whole time where it did not."""
    why: str | None
    """What happened; None: it lasted."""


def drift(engine: Engine, starts: Sequence[Atoms], checks: PhysicsChecks) -> list[Drift]:
    """Run each structure at constant energy from random velocities."""
    together = _Together(engine, starts)
    rng = np.random.default_rng(checks.seed)
    atoms = together.atoms
    # Twice the temperature: from a minimum half of it becomes potential energy.
    together.warm(np.full(len(atoms), 2 * checks.drift_temperature), rng)
    dynamics = VelocityVerlet(atoms, checks.timestep * units.fs)
    times: list[float] = []
    energies: list[NDArray[np.float64]] = []

    def look() -> None:
        together.watch(dynamics.nsteps * checks.timestep / 1000)
        times.append(dynamics.nsteps * checks.timestep / 1000)
        energies.append(together.total_energies())

    dynamics.attach(look, interval=WATCHED)
    dynamics.run(_steps(checks.drift_time, checks))
    rows = np.array(energies)
    found = []
    for place, start in enumerate(starts):
        failed = together.failures.get(place)
        if failed is not None:
            found.append(Drift(None, None, failed[0]))
            continue
        slope, constant = np.polyfit(times, rows[:, place], 1)
        rest = rows[:, place] - (slope * np.array(times) + constant)
        found.append(Drift(float(slope) / len(start), float(rest.std()) / len(start), checks.drift_time))
    return found


def stable(engine: Engine, starts: Sequence[Atoms], checks: PhysicsChecks) -> list[list[Lasted]]:
    """Run each structure at every temperature; return for each structure how long it lasted at each."""
    cases = list(itertools.product(range(len(starts)), checks.temperatures))
    together = _Together(engine, [starts[place] for place, _ in cases])
    rng = np.random.default_rng(checks.seed + 1)
    atoms = together.atoms
    kelvin = np.repeat([temperature for _, temperature in cases], together.sizes)
    together.warm(kelvin, rng)
    dynamics = Langevin(
        atoms,
        checks.timestep * units.fs,
        temperature_K=kelvin[:, None],  # pyright: ignore[reportArgumentType] (one for each atom, as its text says)
        friction=checks.friction / (1000 * units.fs),
        fixcm=False,
        rng=rng,
    )
    dynamics.attach(lambda: together.watch(dynamics.nsteps * checks.timestep / 1000), interval=WATCHED)
    dynamics.run(_steps(checks.stable_time, checks))
    found: list[list[Lasted]] = [[] for _ in starts]
    for case, (place, temperature) in enumerate(cases):
        lasted, why = together.failures.get(case, (checks.stable_time, None))
        found[place].append(Lasted(temperature, lasted, why))
    return found


def _steps(picoseconds: float, checks: PhysicsChecks) -> int:
    """Return how many steps a time takes, at least so many that it is looked at twice after its start."""
    return max(2 * WATCHED, round(1000 * picoseconds / checks.timestep))


class _Together:
    """Structures that move side by side and do not see each other."""

    def __init__(self, engine: Engine, starts: Sequence[Atoms]) -> None:
        self.sizes = [len(one) for one in starts]
        self.atoms = Atoms(
            np.concatenate([one.numbers for one in starts]), np.concatenate([one.positions for one in starts])
        )
        self.failures: dict[int, tuple[float, str]] = {}
        """Place -> when, in ps, and why it fell apart."""
        self._starts = [one.copy() for one in starts]
        self._bonds = [bonds_of(one) for one in starts]
        self._lengths = [_lengths(one, bonds) for one, bonds in zip(starts, self._bonds, strict=True)]
        self._ends = np.cumsum(self.sizes)
        self._calculator = _Batched(engine, self)
        self.atoms.calc = self._calculator

    def parts(self) -> list[Atoms]:
        """Return every structure where it is now; of one that fell apart its start."""
        found = []
        for place, (start, positions) in enumerate(
            zip(self._starts, np.split(self.atoms.positions, self._ends[:-1]), strict=True)
        ):
            one = start.copy()
            if place not in self.failures:
                one.positions = positions
            found.append(one)
        return found

    def warm(self, kelvin: NDArray[np.float64], rng: np.random.Generator) -> None:
        """Draw thermal velocities at each atom's temperature, (A,) K; no structure moves as a whole."""
        masses = self.atoms.get_masses()
        momenta = rng.normal(size=(len(masses), 3)) * np.sqrt(masses * units.kB * kelvin)[:, None]
        for end, size in zip(self._ends, self.sizes, strict=True):
            rows = slice(end - size, end)
            momenta[rows] -= masses[rows, None] / masses[rows].sum() * momenta[rows].sum(axis=0)
        self.atoms.set_momenta(momenta)

    def total_energies(self) -> NDArray[np.float64]:
        """Return (S,) potential and kinetic energies, eV."""
        self.atoms.get_forces()
        momenta = np.split(self.atoms.get_momenta(), self._ends[:-1])
        masses = np.split(self.atoms.get_masses(), self._ends[:-1])
        kinetic = [float((p**2 / (2 * m[:, None])).sum()) for p, m in zip(momenta, masses, strict=True)]
        return self._calculator.energies + np.array(kinetic)

    def watch(self, now: float) -> None:
        """Take out what has fallen apart."""
        self.atoms.get_forces()
        for place, one in enumerate(self.parts()):
            if place in self.failures:
                continue
            why = self._why(place, one)
            if why is not None:
                self._take_out(place, now, why)

    def _why(self, place: int, one: Atoms) -> str | None:
        if not np.isfinite(self._calculator.energies[place]) or not np.isfinite(one.positions).all():
            return "energy or forces not finite"
        near = pairs_of(one)
        np.fill_diagonal(near, np.inf)
        if near.size and near.min() < COLLIDED:
            first, second = np.unravel_index(int(near.argmin()), near.shape)
            return f"{one.symbols[int(first)]} and {one.symbols[int(second)]} ran into one another"
        stretched = _lengths(one, self._bonds[place]) / self._lengths[place]
        if len(stretched) and stretched.max() > BROKEN:
            first, second = self._bonds[place][int(stretched.argmax())]
            return f"a bond {one.symbols[int(first)]}-{one.symbols[int(second)]} broke"
        return None

    def _take_out(self, place: int, now: float, why: str) -> None:
        self.failures[place] = now, why
        rows = slice(self._ends[place] - self.sizes[place], self._ends[place])
        positions, momenta = self.atoms.get_positions(), self.atoms.get_momenta()
        positions[rows], momenta[rows] = self._starts[place].positions, 0.0
        self.atoms.set_positions(positions)
        self.atoms.set_momenta(momenta)


class _Batched(EngineCalculator):
    """Energies and forces of structures side by side, in one batch; those that fell apart feel no force."""

    def __init__(self, engine: Engine, together: _Together) -> None:
        super().__init__(engine)
        self._together = together
        self.energies: NDArray[np.float64] = np.zeros(len(together.sizes))

    def evaluated(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        del atoms  # all of them, taken apart again
        together = self._together
        parts = together.parts()
        going = [
            place
            for place, one in enumerate(parts)
            if place not in together.failures and np.isfinite(one.positions).all()
        ]
        found = self.engine([parts[place] for place in going])
        forces = [np.zeros((size, 3)) for size in together.sizes]
        self.energies = np.full(len(parts), np.nan)
        for place, energy, force in zip(going, found.energy, found.forces, strict=True):
            if np.isfinite(force).all():
                self.energies[place], forces[place] = energy, force
        return float(np.nansum(self.energies)), np.concatenate(forces)


def _lengths(atoms: Atoms, bonds: NDArray[np.int64]) -> NDArray[np.float64]:
    mic = bool(atoms.pbc.any())
    return np.array([atoms.get_distance(int(first), int(second), mic=mic) for first, second in bonds])
