"""What is checked and how: with the weights it fixes every number but rounding, so its fingerprint names the record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mfsweep.spec.base import Float, Frozen, NonNegativeFloat, PositiveFloat, PositiveInt, Seed

MOLECULES = ("H2O", "NH3", "CH4", "HCN", "H2CO", "CH3OH", "C2H4", "C2H6")
"""Names in ASE's copy of the G2 set: the commonest bonds of C, H, N and O, in at most 8 atoms."""


class PhysicsChecks(Frozen):
    """The checks of one model."""

    molecules: tuple[str, ...] = MOLECULES
    """Names in ASE's G2 set, looked at in so far as the head knows their elements; not read where `file` is set."""
    file: str | None = None
    """sha256 of the file of structures in place of the molecules."""
    reference: str | None = None
    """Method as `mfsweep data label` names it, whose minima, frequencies and bond stretches are the right ones."""
    base: str | None = None
    """Method that a head's difference is added to (delta-learning)."""
    seed: Seed = 0
    """Seed of velocities and random forces."""
    timestep: PositiveFloat = 0.5
    """Femtoseconds, of all dynamics."""
    drift_time: NonNegativeFloat = 1.0
    """Picoseconds at constant energy. 0: it is left out."""
    drift_temperature: PositiveFloat = 300.0
    """Kelvin, of the velocities at its start."""
    temperatures: tuple[PositiveFloat, ...] = (300.0, 600.0, 1000.0)
    """Kelvin, of the thermostats."""
    stable_time: NonNegativeFloat = 2.0
    """Picoseconds at each temperature. 0: it is left out."""
    friction: PositiveFloat = 10.0
    """Friction of the Langevin thermostat, per picosecond."""
    force: PositiveFloat = 0.005
    """Largest force of a relaxed geometry, eV/angstrom."""
    steps: PositiveInt = 300
    """Steps of a relaxation at most."""
    displacement: PositiveFloat = 0.01
    """Angstrom, of the differences behind frequencies and behind the check of the forces."""
    shortest: Annotated[Float, Field(gt=0, lt=1)] = 0.6
    longest: Annotated[Float, Field(gt=1)] = 2.0
    """Ends of a bond stretch, in lengths of the relaxed bond."""
    points: Annotated[PositiveInt, Field(ge=5)] = 29
    """Geometries of a bond stretch."""
    hole: PositiveFloat = 0.05
    """Depth, eV, from which on a false minimum of a bond stretch counts."""
