"""Predictions for every structure of a set, and the errors made from them: nothing dropped, nothing twice.

Legend: S structures, A atoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from mfsweep.data.batch import assemble
from mfsweep.data.cost_aware import BatchItems, loads
from mfsweep.data.reference import offset_energy
from mfsweep.data.view import DataView
from mfsweep.errors import TrainingError
from mfsweep.models.base import Potential
from mfsweep.quantities import Quantity
from mfsweep.spec.stage import LossWeights
from mfsweep.train.tensors import Sender
from mfsweep.train.world import World

_MILLI = 1000.0
_ROOM, _ENOUGH = 4, 512
"""Atoms that go through the model at a time for each that a training step may have, which keeps what the gradients of
its forces need; and where more at a time are no quicker."""


class Predictions(NamedTuple):
    """Reference and predicted values of a set's structures, in the order asked for."""

    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride] (tuple.index, never used)
    """(S,) index of the structure in the view."""
    formula: np.ndarray
    """(S,) index into the data's formulae."""
    atoms: np.ndarray
    """(S,) atoms."""
    energy_reference: np.ndarray
    """(S,) float64 total energies, eV."""
    energy_predicted: np.ndarray
    """(S,) float64 total energies, eV: interaction energy, offsets, and what they are a correction to."""
    forces_reference: np.ndarray | None
    """(A, 3) eV/angstrom."""
    forces_predicted: np.ndarray | None
    """(A, 3) eV/angstrom."""


def predict(
    model: Potential,
    view: DataView,
    indices: np.ndarray,
    method: str,
    *,
    offsets: Mapping[int, float],
    forces: bool,
    head: str | None = None,
    base: str | None = None,
    max_atoms: int = 256,
    max_edges: int | None = None,
    world: World | None = None,
    finite: bool = True,
) -> Predictions:
    """Return one head's predictions for every structure of `indices` beside a method's labels.

    Args:
        model: on its device; left in the mode it was in.
        view: holds the structures and labels.
        indices: (S,) structures.
        method: label method of the reference values.
        offsets: atomic number -> E0 in eV, added to the interaction energies: the method's own, or another's.
        forces: compute forces; without it they are never computed.
        head: readout head that predicts. Default: `method`.
        base: label method whose own energies and forces are added (delta-learning): head and offsets are then those of
            the difference. Every structure has to carry it, with forces where they are asked for.
        max_atoms: atoms in a batch of a training step at most. Here up to four times as many go through the model at a
            time, as far as that is quicker (a larger structure alone).
        max_edges: edges that go through the model at a time at most; None: any.
        world: ranks that share the work, each structure going to one of them; all return the whole.
        finite: refuse predictions that are not; else they are returned as they come.

    Raises:
        TrainingError: a prediction is not finite, on every rank; the text names the structure.
    """
    world = world or World.alone(next(model.parameters()).device)
    structures = view.structures
    sizes = structures.sizes[indices]
    first = np.concatenate([[0], np.cumsum(sizes)])
    dtype = next(model.parameters()).dtype
    sender = Sender(model.shape.elements, dtype, world.device)
    max_atoms = max(max_atoms, min(_ROOM * max_atoms, _ENOUGH))
    energy = torch.zeros(len(indices), dtype=torch.float64, device=world.device)
    force = torch.zeros((first[-1], 3) if forces else (0, 3), dtype=dtype, device=world.device)

    def go_through(start: int, stop: int) -> None:
        batch = assemble(view, indices[start:stop], method, offsets, model.cutoff, with_forces=False)
        prediction = model(sender.graph(batch), head or method, forces=forces)
        energy[start:stop] = prediction.energy
        if forces:
            force[first[start] : first[stop]] = prediction.forces

    training = model.training
    model.eval()
    with torch.no_grad():
        own = chunks(_loads(model, view, indices, max_atoms, max_edges), max_atoms)[world.rank :: world.size]
        for start, stop in own:
            go_through(start, stop)
        for start, stop in alone(own, finite_of(energy.cpu().numpy(), force.cpu().numpy(), sizes)):
            go_through(start, stop)
    model.train(training)
    # Every entry was set by one rank and is zero elsewhere: the sum over ranks gathers them.
    world.sum_(energy)
    if forces:
        world.sum_(force)
    predicted = energy.cpu().numpy(), force.cpu().numpy()
    if finite:
        _require_finite(view, indices, head or method, *predicted)
    reference = _forces(view, method, indices) if forces else None
    added = _added(view, base, indices, forces=reference is not None)
    return Predictions(
        index=indices,
        formula=structures.formula[indices],
        atoms=sizes,
        energy_reference=structures.labels[method].energy[indices],
        energy_predicted=predicted[0] + offset_energy(structures, indices, offsets) + added.energy,
        forces_reference=reference,
        forces_predicted=None if reference is None else predicted[1] + added.forces,
    )


def _require_finite(view: DataView, indices: np.ndarray, head: str, energy: np.ndarray, forces: np.ndarray) -> None:
    """Refuse predictions that are not finite: (S,) energies and (A, 3) forces, or none, of some structures."""
    finite = finite_of(energy, forces, view.structures.sizes[indices])
    if finite.all():
        return
    bad = indices[~finite]
    if len(bad) == len(indices):
        advice = "No structure has a finite one: lower the stage's learning_rate"
    else:
        advice = "Look at its geometry (two atoms at one place?), mend it or leave the structure out of the data"
    raise TrainingError(
        f"{view.place}: the prediction of the head {head} for {view.structures.describe(int(bad[0]))} is not "
        f"finite, as {len(bad)} of {len(indices)} are. {advice}"
    )


def offsets_only(
    predictions: Predictions, view: DataView, offsets: Mapping[int, float], base: str | None = None
) -> Predictions:
    """Return the null model's predictions for the same structures: energy offsets and nothing else.

    Of delta-learning they are added to the values of `base`: the null model corrects the base method by one energy per
    atom of each element, and its forces not at all.
    """
    forces = base is not None and predictions.forces_reference is not None
    added = _added(view, base, predictions.index, forces=forces)
    return predictions._replace(
        energy_predicted=offset_energy(view.structures, predictions.index, offsets) + added.energy,
        forces_predicted=added.forces if forces else None,
    )


class _Added(NamedTuple):
    """What a prediction corrects: (S,) eV and (A, 3) eV/angstrom, or zeros."""

    energy: Any
    forces: Any


def _added(view: DataView, base: str | None, indices: np.ndarray, *, forces: bool) -> _Added:
    if base is None:
        return _Added(0.0, 0.0)
    return _Added(view.structures.labels[base].energy[indices], _forces(view, base, indices) if forces else 0.0)


def _forces(view: DataView, method: str, indices: np.ndarray) -> np.ndarray | None:
    """Return a method's force labels, (A, 3) eV/angstrom, or None where it has none."""
    forces = view.structures.labels[method].forces
    return None if forces is None else forces[view.structures.atoms_of(indices)]


def errors(predictions: Predictions, weights: LossWeights | None = None) -> dict[Quantity, float]:
    """Return every quantity that the predictions allow, in the units of quantities.py.

    Args:
        predictions: of at least one structure.
        weights: lambda_E and lambda_F; with them the loss is given too.
    """
    atoms = predictions.atoms
    molecule = predictions.energy_predicted - predictions.energy_reference
    energy = molecule / atoms
    found = {
        Quantity.ENERGY_MAE: _MILLI * np.abs(energy).mean(),
        Quantity.ENERGY_RMSE: _MILLI * np.sqrt(np.square(energy).mean()),
        Quantity.ENERGY_MAE_MOLECULE: _MILLI * np.abs(molecule).mean(),
        Quantity.ENERGY_MAE_SHIFTED: _MILLI * np.abs(energy - np.median(energy)).mean(),
    }
    within = _within_formula(energy, predictions.formula)
    if len(within):
        found[Quantity.ENERGY_MAE_WITHIN_FORMULA] = _MILLI * np.abs(within).mean()
    loss = (weights.energy if weights else 0.0) * np.square(energy)
    if predictions.forces_predicted is not None and predictions.forces_reference is not None:
        force = predictions.forces_predicted.astype(np.float64) - predictions.forces_reference
        found[Quantity.FORCE_MAE] = _MILLI * np.abs(force).mean()
        found[Quantity.FORCE_RMSE] = _MILLI * np.sqrt(np.square(force).mean())
        if weights:
            structure = np.repeat(np.arange(len(atoms)), atoms)
            per_structure = np.bincount(structure, weights=np.square(force).sum(axis=1), minlength=len(atoms))
            loss = loss + weights.forces * per_structure / (3 * atoms)
    if weights:
        found[Quantity.LOSS] = loss.mean()
    return {quantity: float(value) for quantity, value in found.items()}


def chunks(sizes: Sequence[int] | np.ndarray, max_atoms: int) -> list[tuple[int, int]]:
    """Return consecutive ranges [start, stop) of structures, each filled up to `max_atoms`."""
    ranges, start, atoms = [], 0, 0
    for index, size in enumerate(sizes):
        if index > start and atoms + size > max_atoms:
            ranges.append((start, index))
            start, atoms = index, 0
        atoms += size
    return [*ranges, (start, len(sizes))] if len(sizes) else []


def finite_of(energy: np.ndarray, forces: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return which structures, (S,), have a finite energy, (S,), and finite forces, (A, 3) or none."""
    finite = np.isfinite(energy)
    if len(forces):
        finite &= np.logical_and.reduceat(np.isfinite(forces).all(axis=1), np.cumsum(sizes) - sizes)
    return finite


def alone(ranges: Sequence[tuple[int, int]], finite: np.ndarray) -> list[tuple[int, int]]:
    """Return which structures have to go through a model once more, each by itself, as ranges.

    NaN of one structure may become that of all that go through a model with it: sums over padded tables have 0 times
    NaN. Where nothing at all is finite the weights are to blame, most likely: then those of the first range alone.

    Args:
        ranges: of structures that went through together.
        finite: (S,) what came out.
    """
    if not any(finite[start:stop].any() for start, stop in ranges):
        ranges = ranges[:1]
    return [
        (place, place + 1)
        for start, stop in ranges
        if stop - start > 1 and not finite[start:stop].all()
        for place in range(start, stop)
    ]


def _loads(model: Potential, view: DataView, indices: np.ndarray, max_atoms: int, max_edges: int | None) -> np.ndarray:
    """Return what of a batch each structure takes up, in atoms, (S,)."""
    sizes = view.structures.sizes[indices]
    if max_edges is None:
        return sizes
    edges = np.diff(view.edges(model.cutoff).offsets)[indices]
    return loads(BatchItems(sizes, edges), max_atoms, max_edges)


def _within_formula(energy: np.ndarray, formula: np.ndarray) -> np.ndarray:
    """Return the (n,) values less their formula's mean, for the n structures that share their formula with another."""
    _, group, counts = np.unique(formula, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=energy) / counts
    return (energy - means[group])[counts[group] > 1]
