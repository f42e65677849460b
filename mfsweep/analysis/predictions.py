"""The predictions that an evaluation left in the store, read back.

Legend: `S` structures, `A` atoms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.metric import find
from mfsweep.analysis.records import Records, score_of
from mfsweep.quantities import MetricPath

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Prediction(NamedTuple):
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


def predictions(records: Records, key: str, metric: MetricPath) -> Prediction | None:
    """Return what lies behind a score of a stage; None where it is no score, or its file cannot be read.

    Args:
        records: of a study that has the stage.
        key: of the stage.
        metric: path of the score; which quantity does not matter.
    """
    stage = records.stage(key)
    name = found.name if stage and (found := find(stage, metric)) else None
    asked = next((one for one in stage.evaluations if score_of(one.evaluation) == name), None) if stage else None
    if asked is None:
        return None
    path = records.store.stage(key).evaluation_paths(asked.evaluation)[1]
    try:
        with np.load(path) as file:
            forces = [
                file[name].astype(np.float64) if name in file else None
                for name in ("forces_reference", "forces_predicted")
            ]
            return Prediction(
                *(file[name].astype(np.int64) for name in ("index", "formula", "atoms")),
                *(file[name].astype(np.float64) for name in ("energy_reference", "energy_predicted")),
                *forces,
            )
    except (OSError, ValueError, KeyError):
        return None
