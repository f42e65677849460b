"""The predictions of one setting, its replicates together, beside what the data say of the structures.

Legend: `S` structures of all replicates, `A` their atoms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.facts import Facts, Floats, Integers, Look
from mfsweep.analysis.leading import Leading
from mfsweep.analysis.predictions import predictions
from mfsweep.analysis.records import Records
from mfsweep.quantities import MetricPath
from mfsweep.store.predictions import StoredPrediction

MILLI = 1000.0


class PredictedStructures(NamedTuple):
    """What is known of every predicted structure."""

    formula: NDArray[np.str_]
    """(S,)."""
    atoms: Integers
    """(S,)."""
    reference: Floats
    predicted: Floats
    """(S,) energy per atom less what the composition explains of the references, meV/atom."""
    elements: tuple[str, ...]
    counts: Integers
    """(S, Z) atoms of each element."""
    kind: Integers
    """(A,) index into `elements`."""
    structure: Integers
    """(A,) index of the atom's structure."""
    force: Floats | None
    """(A,) magnitude of the reference force, eV/angstrom."""
    forces_of: str
    """Label method of that."""
    forces: tuple[Floats, Floats] | None
    """(A, 3) reference and predicted, eV/angstrom; None of a method without forces."""
    distance: Floats | None
    """(S,) from the training set."""

    @property
    def error(self) -> Floats:
        """Return (S,) absolute errors, meV/atom."""
        return np.abs(self.predicted - self.reference)

    @property
    def force_error(self) -> Floats:
        """Return (A,): mean absolute error of an atom's force components, meV/angstrom."""
        assert self.forces is not None
        return MILLI * np.abs(self.forces[1] - self.forces[0]).mean(axis=1)

    @property
    def structure_force(self) -> Floats | None:
        """Return (S,): root mean square over a structure's atoms of the reference force, eV/angstrom."""
        if self.force is None:
            return None
        return np.sqrt(np.bincount(self.structure, self.force**2, len(self.atoms)) / self.atoms)


def predicted(records: Records, setting: Leading, metric: MetricPath, look: Look) -> PredictedStructures | None:
    """Return the predictions of a setting; None where none of its replicates has left any."""
    own = [
        (found, look(one.cell, found.structure, one.method))
        for one in setting.outcomes
        if (found := predictions(records, one.key, metric))
    ]
    return _joined(own) if own else None


def _joined(own: list[tuple[StoredPrediction, Facts]]) -> PredictedStructures:
    elements = tuple(dict.fromkeys(element for _, tested in own for element in tested.elements))
    kinds = [np.array([elements.index(one) for one in tested.elements], np.int64)[tested.kind] for _, tested in own]
    atoms = np.concatenate([found.atoms for found, _ in own])
    structure = np.repeat(np.arange(len(atoms)), atoms)
    kind = np.concatenate(kinds)
    counts = np.bincount(structure * len(elements) + kind, minlength=len(atoms) * len(elements))
    counts = counts.reshape(len(atoms), len(elements))
    # An energy for each element, by least squares: without it a parity plot shows atoms, not the bonds between them.
    reference = np.concatenate([found.energy_reference for found, _ in own])
    explained = counts @ np.linalg.lstsq(counts.astype(np.float64), reference, rcond=None)[0]
    forces = [(found.forces_reference, found.forces_predicted) for found, _ in own]
    both = [(one, other) for one, other in forces if one is not None and other is not None]
    known = [tested.forces for _, tested in own if tested.forces is not None]
    distances = [tested.distance for _, tested in own if tested.distance is not None]
    return PredictedStructures(
        formula=np.concatenate([np.array(tested.formulae) for _, tested in own]),
        atoms=atoms,
        reference=MILLI * (reference - explained) / atoms,
        predicted=MILLI * (np.concatenate([found.energy_predicted for found, _ in own]) - explained) / atoms,
        elements=elements,
        counts=counts,
        kind=kind,
        structure=structure,
        force=np.linalg.norm(np.concatenate(known), axis=1) if len(known) == len(own) else None,
        forces_of=own[0][1].forces_of,
        forces=(np.concatenate([one for one, _ in both]), np.concatenate([other for _, other in both]))
        if len(both) == len(own)
        else None,
        distance=np.concatenate(distances) if len(distances) == len(own) else None,
    )
