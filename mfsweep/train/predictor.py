"""A trained stage, or a model file, as something that predicts: energies, forces and stress of any atoms by one head.

What it gives is what the stage's evaluations give: interaction energies by the weights that were kept, the shifts of a
model that began as a foundation model, and the head's energy offsets, which are added in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mfsweep.data.bare import bare_batch, of_atoms, without_labels
from mfsweep.data.reference import offset_table
from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.errors import DataError
from mfsweep.models import overlay
from mfsweep.models.base import Potential
from mfsweep.models.stress import strained
from mfsweep.train.checkpoint import DTYPES, restore
from mfsweep.train.evaluate import alone, chunks, finite_of
from mfsweep.train.tensors import Sender
from mfsweep.train.trained import Trained, read_trained

if TYPE_CHECKING:
    from ase import Atoms

MAX_ATOMS = 1024
"""Atoms that go through a model at a time; a larger structure goes alone."""
Precision = Literal["float32", "float64"]


class PredictedLabels(NamedTuple):
    """What a model says of S structures with A atoms in all."""

    energy: NDArray[np.float64]
    """(S,) total energies, eV, energy offsets included; of a head that learned a difference, that difference."""
    forces: list[NDArray[np.float64]] | None
    """For each structure (atoms, 3) eV/angstrom; None where they were not asked for."""
    stress: NDArray[np.float64] | None
    """(S, 6) eV/angstrom^3 in ASE's order xx, yy, zz, yz, xz, xy; NaN for what is not periodic along all three lattice
    vectors; None where it was not asked for."""


class Predictor:
    """Predicts by one head of a trained model, many structures at a time."""

    def __init__(self, trained: Trained, *, device: str | torch.device = "cpu", dtype: Precision | None = None) -> None:
        """Build the model.

        Args:
            trained: weights, head and offsets.
            device: to compute on.
            dtype: `float32` or `float64`; None: that of the weights.

        Raises:
            ResourceError: the packages of its architecture cannot be imported here.
        """
        overlay.enter(trained.weights.spec.architecture)
        weights = trained.weights._replace(precision=dtype or trained.weights.precision)
        self.head = trained.head
        self.minus = trained.minus
        self.place = trained.place
        self.precision = weights.precision
        self.elements = trained.elements
        self.model: Potential = restore(weights, device).requires_grad_(False)
        self.device = torch.device(device)
        self._offsets = offset_table({z: trained.offsets[z] for z in self.elements})
        self._sender = Sender(weights.elements, DTYPES[weights.precision], self.device)

    @property
    def cutoff(self) -> float:
        """Return the radius within which atoms are neighbours, angstrom."""
        return self.model.cutoff

    def predict(
        self, atoms: Sequence[Atoms], *, forces: bool = True, stress: bool = False, max_atoms: int = MAX_ATOMS
    ) -> PredictedLabels:
        """Return energies, and if asked forces and stress.

        Args:
            atoms: S structures; their charges, spins and calculators are not looked at.
            forces: whether to compute forces.
            stress: whether to compute the stress of crystals.
            max_atoms: atoms that go through the model at a time.

        Raises:
            DataError: an element that the head does not know, or a prediction that is not finite.
        """
        found = self.compute(atoms, forces=forces, stress=stress, max_atoms=max_atoms)
        finite = np.isfinite(found.energy)
        if found.forces is not None:
            finite &= np.array([np.isfinite(force).all() for force in found.forces], np.bool_)
        if not finite.all():
            first = int(np.argmin(finite))
            raise DataError(
                f"{self.place}: the prediction of the head {self.head!r} for {atoms[first].get_chemical_formula()} "
                f"(structure {first}) is not finite: look at its geometry (two atoms at one place?)"
            )
        return found

    def compute(
        self, atoms: Sequence[Atoms], *, forces: bool = True, stress: bool = False, max_atoms: int = MAX_ATOMS
    ) -> PredictedLabels:
        """Return what `predict` does, with numbers that are not finite as they come.

        Args:
            atoms: as of `predict`.
            forces: as of `predict`.
            stress: as of `predict`.
            max_atoms: as of `predict`.

        Raises:
            DataError: an element that the head does not know.
        """
        return self.compute_structures(of_atoms(atoms), forces=forces, stress=stress, max_atoms=max_atoms)

    def compute_structures(
        self, structures: Structures, *, forces: bool, stress: bool = False, max_atoms: int = MAX_ATOMS
    ) -> PredictedLabels:
        """Return what `compute` does, of S structures in flat arrays; arguments and errors as of it."""
        self.require_known(structures)
        count = len(structures.sizes)
        energy = np.zeros(count)
        force = np.zeros((len(structures.species), 3))
        tension = np.full((count, 6), np.nan)

        def go_through(start: int, stop: int) -> None:
            rows = slice(structures.offsets[start], structures.offsets[stop])
            part = without_labels(structures, np.arange(start, stop))
            energy[start:stop], force[rows], tension[start:stop] = self._chunk(part, forces=forces, stress=stress)

        ranges = chunks(structures.sizes, max_atoms)
        for start, stop in ranges:
            go_through(start, stop)
        for start, stop in alone(ranges, finite_of(energy, force, structures.sizes)):
            go_through(start, stop)
        owner = np.repeat(np.arange(count), structures.sizes)
        energy += np.bincount(owner, weights=self._offsets[structures.species], minlength=count)
        each = np.split(force, structures.offsets[1:-1]) if count else []
        return PredictedLabels(energy, each if forces else None, tension if stress else None)

    def _chunk(
        self, structures: Structures, *, forces: bool, stress: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return interaction energies (s,), forces (a, 3) and stress (s, 6), zeros and NaN where not asked for."""
        graph = self._sender.graph(bare_batch(structures, self.cutoff))
        force = np.zeros((len(structures.species), 3))
        tension = np.full((len(structures.formula), 6), np.nan)
        crystals = np.zeros(len(tension), np.bool_) if structures.pbc is None else structures.pbc.all(axis=1)
        if not (stress and crystals.any()):
            with torch.no_grad():
                prediction = self.model(graph, self.head, forces=forces)
            if prediction.forces is not None:
                force = _array(prediction.forces)
            return _array(prediction.energy), force, tension
        assert structures.cell is not None, "of crystals"
        volumes = np.where(crystals, np.abs(np.linalg.det(structures.cell)), np.nan)
        found = strained(self.model, graph, self.head, torch.from_numpy(volumes).to(graph.positions))
        whole = _array(found.stress)
        tension = np.stack([whole[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], axis=1)
        return _array(found.energy), _array(found.forces), tension

    def require_known(self, structures: Structures) -> None:
        """Refuse structures with an element that the head does not know.

        Raises:
            DataError: with the elements.
        """
        foreign = sorted(set(np.unique(structures.species).tolist()) - set(self.elements))
        if foreign:
            raise DataError(
                f"{self.place}: the head {self.head!r} knows the elements "
                f"{', '.join(SYMBOLS[z] for z in self.elements)}, and these structures have "
                f"{', '.join(SYMBOLS[z] for z in foreign)} too: nothing can be said of them"
            )


def load_model(
    path: str | Path,
    head: str | None = None,
    *,
    offsets: str | None = None,
    checkpoint: Literal["selected", "best"] = "selected",
    device: str | torch.device = "cpu",
    dtype: Precision | None = None,
) -> Predictor:
    """Return what predicts by one head of a trained stage or a model file.

    Args:
        path: the folder of a stage in a store; or a file: selected.pt, best.<head>.pt, one that `mfsweep export` wrote,
            or a foundation model that a stage can start from. No code of a file is run.
        head: readout head; may be left out where there is only one.
        offsets: label method whose energy offsets are added, one that the stage learned. Default: that of the head's
            name, else the first that the head learned.
        checkpoint: of a stage, the `selected` weights or those `best` for the head.
        device: to compute on.
        dtype: `float32` or `float64`; None: that of the weights.

    Raises:
        StoreError: the stage is not trained to its end, or its weights are damaged.
        TrainingError: the file cannot be read, or holds no model; no such head, or several and none named.
        DataError: no such offsets.
        ResourceError: the packages of its architecture cannot be imported here.
    """
    return Predictor(read_trained(path, head, offsets=offsets, checkpoint=checkpoint), device=device, dtype=dtype)


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().numpy().astype(np.float64)
