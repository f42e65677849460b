"""What the physics checks of one head of a trained stage gave (physics/validate.py), as it lies beside its record."""

from __future__ import annotations

from typing import Any, Literal

from mfsweep.record_shapes import Whole
from mfsweep.records import Finite


class Trajectory(Finite):
    """A trajectory at one temperature."""

    temperature: float
    """Kelvin."""
    lasted: float
    """Picoseconds."""
    why: str | None = None
    """What ended it; None: it lasted the whole time."""


class Bond(Finite):
    """One bond stretched."""

    bond: str
    hole: float | None
    """Depth of the deepest false minimum, eV; None: the energy was not finite somewhere."""
    error: float | None = None
    """Mean absolute difference from the reference's stretch, eV."""


class Structure(Finite):
    """One structure."""

    name: str
    atoms: Whole
    inconsistency: float | None
    """Largest difference of a force from the slope of the energy, eV/angstrom."""
    relaxed: bool
    """Whether the relaxation reached a minimum."""
    rmsd: float | None = None
    """From the reference's minimum, angstrom."""
    frequencies: list[float] = []  # noqa: RUF012 (Pydantic copies a field's default)
    """1/cm, imaginary ones negative."""
    imaginary: Whole | None = None
    """Imaginary ones; None: there is no minimum, or its frequencies could not be computed."""
    frequency_error: float | None = None
    """Mean absolute difference from the reference's, 1/cm."""
    drift: float | None = None
    """Slope of the total energy at constant energy, eV/atom/ps."""
    fluctuation: float | None = None
    """Standard deviation of the total energy about that slope, eV/atom."""
    drift_lasted: float | None = None
    """Picoseconds."""
    trajectories: list[Trajectory] = []  # noqa: RUF012
    bonds: list[Bond] = []  # noqa: RUF012


class PhysicsRecord(Finite):
    """The checks of one head of one stage."""

    schema_number: Literal[1] = 1
    key: str
    """Stage."""
    head: str
    step: Whole
    """Optimiser step of the weights."""
    checks: dict[str, Any]
    """`PhysicsChecks.identity()`."""
    structures: list[Structure]
    seconds: float
    versions: dict[str, str] = {}  # noqa: RUF012

    @property
    def lasted(self) -> float | None:
        """Return the part of all trajectories with a thermostat that lasted the whole time, 0 to 1."""
        every = [one for structure in self.structures for one in structure.trajectories]
        return sum(one.why is None for one in every) / len(every) if every else None

    @property
    def lasted_time(self) -> float | None:
        """Return the mean time of all trajectories with a thermostat, ps."""
        return _mean([one.lasted for structure in self.structures for one in structure.trajectories])

    @property
    def relaxed(self) -> float:
        """Return the part of the structures that relaxed to a minimum, 0 to 1."""
        return sum(one.relaxed for one in self.structures) / len(self.structures)

    @property
    def true_minima(self) -> float:
        """Return the part of the structures that relaxed to a minimum without imaginary frequencies, 0 to 1."""
        return sum(one.imaginary == 0 for one in self.structures) / len(self.structures)

    @property
    def drift(self) -> float | None:
        """Return the mean absolute drift of those that lasted, meV/atom/ps."""
        found = _mean([abs(one.drift) for one in self.structures if one.drift is not None])
        return None if found is None else 1000 * found

    @property
    def rmsd(self) -> float | None:
        """Return the mean distance from the reference's minima, angstrom."""
        return _mean([one.rmsd for one in self.structures if one.rmsd is not None])

    @property
    def frequency_error(self) -> float | None:
        """Return the mean error of the frequencies, 1/cm."""
        return _mean([one.frequency_error for one in self.structures if one.frequency_error is not None])

    @property
    def holes(self) -> tuple[int, int]:
        """Return how many bonds have a false minimum as deep as `checks.hole`, or failed, and how many there are."""
        bonds = [bond for one in self.structures for bond in one.bonds]
        depth = float(self.checks["hole"])
        return sum(bond.hole is None or bond.hole >= depth for bond in bonds), len(bonds)

    @property
    def hole_depth(self) -> float | None:
        """Return the mean depth of the deepest false minima of all bonds, 0 where there is none, eV."""
        return _mean([bond.hole for one in self.structures for bond in one.bonds if bond.hole is not None])

    @property
    def stretch_error(self) -> float | None:
        """Return the mean difference from the reference's bond stretches, eV."""
        return _mean([bond.error for one in self.structures for bond in one.bonds if bond.error is not None])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
