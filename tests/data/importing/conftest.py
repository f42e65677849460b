"""Files to import: of the ANI-1x layout, and periodic crystals with energies and forces in ASE's formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import synthetic
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mfsweep.data import dataset
from mfsweep.data.importing import ImportSummary, Rules, import_files
from mfsweep.data.importing.keys import labels_of, units_of
from mfsweep.data.structures import Structures


@pytest.fixture(scope="session")
def ani(tmp_path_factory) -> Path:
    """A file like the ANI-1x release, of 300 structures."""
    path = tmp_path_factory.mktemp("ani") / "ani.h5"
    synthetic.write(path, 300, formulae=30)
    return path


@pytest.fixture(scope="session")
def crystals() -> list[ase.Atoms]:
    """Copper and aluminium, 4 to 12 atoms, with EMT energies and forces (eV, eV/angstrom)."""
    frames = []
    for number in range(12):
        atoms = bulk("Cu" if number % 2 else "Al", cubic=True) * (1, 1, 1 + number % 3)
        atoms.rattle(0.05, seed=number)
        atoms.calc = EMT()
        forces = atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=forces)
        atoms.info["config_type"] = "bulk"
        frames.append(atoms)
    return frames


@pytest.fixture
def importing(tmp_path: Path) -> Callable[..., Imported]:
    """Give a function that imports files with the options of the command line."""

    def run(
        *sources: Path, labels: Sequence[str] = (), units: Sequence[str] = (), overwrite: bool = True, **rules: Any
    ) -> Imported:
        target = tmp_path / "imported" / "store.h5"
        parsed = Rules(labels=labels_of(labels), units=units_of(units), **rules)
        summary = import_files(sources, target, parsed, overwrite=overwrite)
        return Imported(target, summary)

    return run


class Imported:
    def __init__(self, path: Path, summary: ImportSummary):
        self.path = path
        self.summary = summary
        self.structures: Structures = dataset.read(path, dataset.methods(path))

    def positions(self, index: int) -> np.ndarray:
        return self.structures.positions[self.structures.atoms_of(np.array([index]))]

    def forces(self, method: str, index: int) -> np.ndarray:
        forces = self.structures.labels[method].forces
        assert forces is not None
        return forces[self.structures.atoms_of(np.array([index]))]
