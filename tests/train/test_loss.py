from __future__ import annotations

import numpy as np
import torch

from mfsweep.models.base import AtomGraph, ModelOutput
from mfsweep.quantities import Quantity
from mfsweep.spec.stage import LossWeights
from mfsweep.train.evaluate import Predictions, errors
from mfsweep.train.loss import learns_forces, summed_loss
from mfsweep.train.tensors import Labelled

ATOMS = np.array([2, 3])
ENERGY = np.array([0.4, -0.9])
FORCES = np.arange(15, dtype=np.float64).reshape(5, 3) / 10


def labelled(*, forces: bool) -> Labelled:
    structure = torch.tensor([0, 0, 1, 1, 1])
    graph = AtomGraph(torch.zeros(5, dtype=torch.int64), torch.zeros(5, 3), structure, torch.zeros(2, 0), 2)
    zeros = torch.zeros(5, 3, dtype=torch.float64)
    return Labelled(graph, torch.tensor(ATOMS, dtype=torch.float64), torch.zeros(2), zeros if forces else None)


def test_the_loss_is_per_structure_and_summed():
    """lambda_E (dE / N)^2 + lambda_F mean over the structure's own components of dF^2."""
    weights = LossWeights(energy=2.0, forces=3.0)
    loss = summed_loss(ModelOutput(torch.tensor(ENERGY), torch.tensor(FORCES)), labelled(forces=True), weights)
    expected = 2 * (0.2**2 + 0.3**2) + 3 * (np.square(FORCES[:2]).mean() + np.square(FORCES[2:]).mean())
    np.testing.assert_allclose(loss.item(), expected)


def test_without_forces_there_is_no_force_term():
    loss = summed_loss(ModelOutput(torch.tensor(ENERGY), None), labelled(forces=False), LossWeights(forces=3.0))
    np.testing.assert_allclose(loss.item(), 0.2**2 + 0.3**2)


def test_without_a_weight_on_energies_theirs_are_never_looked_at():
    """The structures count in the denominator all the same: the sum is over both."""
    batch = labelled(forces=True)._replace(energy=torch.full((2,), torch.nan))
    energy = torch.tensor(ENERGY, requires_grad=True)
    forces = torch.tensor(FORCES, requires_grad=True)
    loss = summed_loss(ModelOutput(energy, forces), batch, LossWeights(energy=0.0, forces=3.0))
    loss.backward()
    np.testing.assert_allclose(loss.item(), 3 * (np.square(FORCES[:2]).mean() + np.square(FORCES[2:]).mean()))
    assert energy.grad is None
    assert forces.grad.isfinite().all()


def test_the_validation_loss_is_the_mean_of_the_training_loss():
    weights = LossWeights(energy=2.0, forces=3.0)
    zeros = np.zeros(2)
    predictions = Predictions(np.arange(2), zeros, ATOMS, zeros, ENERGY, np.zeros((5, 3)), FORCES)
    trained = summed_loss(ModelOutput(torch.tensor(ENERGY), torch.tensor(FORCES)), labelled(forces=True), weights)
    np.testing.assert_allclose(errors(predictions, weights)[Quantity.LOSS], trained.item() / 2)


def test_forces_are_learned_where_there_are_labels_and_a_weight(tiny):
    training = tiny(loss={"cc": LossWeights(), "dft": LossWeights()})
    assert not learns_forces(training, "cc")
    assert learns_forces(training, "dft")
    without = tiny(loss={"cc": LossWeights(), "dft": LossWeights(forces=0.0)})
    assert not learns_forces(without, "dft")
