"""Who gives energies and forces of many geometries at a time: a model, a reference method, or one added to the other.

Whatever fails gives NaN: a model that falls apart is what is being looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from mfsweep.data.bare import of_atoms
from mfsweep.data.labellers import Geometries, Labeller
from mfsweep.errors import DataError
from mfsweep.train.predictor import Predictor


class Evaluated(NamedTuple):
    """Energies and forces of S geometries."""

    energy: NDArray[np.float64]
    """(S,) eV; NaN where it failed."""
    forces: list[NDArray[np.float64]]
    """For each geometry (atoms, 3) eV/angstrom, NaN where it failed."""


Engine = Callable[[Sequence[Atoms]], Evaluated]


def of_model(predictor: Predictor) -> Engine:
    """Return what a model gives."""

    def engine(atoms: Sequence[Atoms]) -> Evaluated:
        found = predictor.compute(atoms, forces=True)
        assert found.forces is not None, "asked for"
        return Evaluated(found.energy, found.forces)

    return engine


def of_labeller(labeller: Labeller, name: str) -> Engine:
    """Return what a reference method gives.

    Raises:
        DataError: when called: the method has no forces.
    """

    def engine(atoms: Sequence[Atoms]) -> Evaluated:
        structures = of_atoms(atoms)
        found = labeller(Geometries.of(structures, np.arange(len(atoms))))
        if found.forces is None:
            if len(found.failures) < len(atoms):
                raise DataError(
                    f"{name} gives no forces: expected a reference with forces, as gfn2-xtb or wb97x/6-31g*"
                )
            return Evaluated(found.energy, [np.full((len(one), 3), np.nan) for one in atoms])
        each = np.split(found.forces.astype(np.float64), structures.offsets[1:-1])
        return Evaluated(found.energy, each)

    return engine


def added(one: Engine, other: Engine) -> Engine:
    """Return the sum of two."""

    def engine(atoms: Sequence[Atoms]) -> Evaluated:
        first, second = one(atoms), other(atoms)
        forces = [a + b for a, b in zip(first.forces, second.forces, strict=True)]
        return Evaluated(first.energy + second.energy, forces)

    return engine


class EngineCalculator(Calculator):
    """An engine as ASE's optimisers want it, one structure at a time."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces."""
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None, "set by ASE"
        energy, forces = self.evaluated(self.atoms)
        self.results: dict[str, Any] = {"energy": energy, "forces": forces}

    def evaluated(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        """Return energy, eV, and forces (A, 3), eV/angstrom."""
        found = self.engine([atoms])
        return float(found.energy[0]), found.forces[0]
