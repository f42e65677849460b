"""The predictions that an evaluation left beside its record, read back.

Legend: `S` structures, `A` their atoms.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.errors import StoreError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class StoredPrediction(NamedTuple):
    """Reference and predicted values of the structures behind a score."""

    structure: Integers
    """(S,) index in the data."""
    formula: Integers
    """(S,) index into the formulae of the data."""
    atoms: Integers
    """(S,)."""
    energy_reference: Floats
    energy_predicted: Floats
    """(S,) total energies, eV."""
    forces_reference: Floats | None
    forces_predicted: Floats | None
    """(A, 3) eV/angstrom, of a method with forces."""

    @property
    def energy_error(self) -> Floats:
        """Return (S,): predicted less reference energy per atom, eV/atom."""
        return (self.energy_predicted - self.energy_reference) / self.atoms


def read_prediction(path: Path) -> StoredPrediction:
    """Return what an evaluation's .npz holds; no object of the file is made but arrays.

    Raises:
        StoreError: there is no such file, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            forces = [
                file[name].astype(np.float64) if name in file else None
                for name in ("forces_reference", "forces_predicted")
            ]
            return StoredPrediction(
                *(file[name].astype(np.int64) for name in ("index", "formula", "atoms")),
                *(file[name].astype(np.float64) for name in ("energy_reference", "energy_predicted")),
                *forces,
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        why = f"`mfsweep store verify --mend` sets it aside, and a run makes it again ({error})"
        raise StoreError(f"{path}: the predictions cannot be read: {why}") from error
