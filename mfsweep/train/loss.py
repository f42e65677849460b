"""The loss of docs/fairness.md#rule-6, a sum over structures: batches, ranks and methods add up, one count divides.

    loss of a step = sum over all its structures [ lambda_E (dE / N)^2 + lambda_F mean over the 3 N components dF^2 ]
                     / number of all structures in the step

Structures without a force term count in the denominator too, or alpha would silently rescale the force terms.
Legend: S structures, A atoms.
"""

from __future__ import annotations

from torch import Tensor

from mfsweep.models.base import ModelOutput
from mfsweep.spec.stage import LossWeights, Training
from mfsweep.train.tensors import Labelled


def summed_loss(prediction: ModelOutput, batch: Labelled, weights: LossWeights) -> Tensor:
    """Return the sum over a batch's structures of the loss, a scalar (eV, angstrom).

    There is no force term without forces, and without a weight on energies theirs are never looked at.
    """
    loss = batch.atoms.new_zeros(())
    if weights.energy:
        loss = weights.energy * ((prediction.energy - batch.energy) / batch.atoms).square().sum()
    if prediction.forces is None or batch.forces is None:
        return loss
    per_atom = (prediction.forces - batch.forces).square().sum(dim=1)
    per_structure = batch.atoms.new_zeros(batch.graph.size).index_add(0, batch.graph.structure, per_atom)
    return loss + weights.forces * (per_structure / (3 * batch.atoms)).sum()


def learns_forces(training: Training, method: str) -> bool:
    """Return whether a training ever computes forces for a method: it has force labels, and lambda_F is not 0."""
    return training.data.has_forces(method) and training.recipe.loss[method].forces > 0
