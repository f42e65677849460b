"""What one batch gives a training: loss, predictions and gradients; and what a backend must be to give them.

Legend: S structures, A atoms, P trained parameters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mfsweep.models.base import Forward, Potential
from mfsweep.spec.stage import LossWeights
from mfsweep.train.loss import summed_loss
from mfsweep.train.tensors import Labelled


class Task(NamedTuple):
    """What a batch is asked for, beside itself."""

    head: str
    forces: bool
    """Whether forces are computed and learned."""
    weights: LossWeights


class BatchResult(NamedTuple):
    """What a batch gives."""

    loss: Tensor
    """Scalar, the sum over structures."""
    energy: Tensor
    """(S,) interaction energies, eV."""
    forces: Tensor | None
    """(A, 3) eV/angstrom."""
    gradients: Sequence[Tensor]
    """(P,) of the loss by each trained parameter, zeros where it has none."""


Backend = Callable[[Labelled, Task], BatchResult]
"""Computes batches of one training."""


def find(forward: Forward, parameters: Sequence[Tensor], batch: Labelled, task: Task) -> BatchResult:
    """Compute a batch by eager PyTorch."""
    prediction = forward(batch.graph, task.head, forces=task.forces)
    loss = summed_loss(prediction, batch, task.weights)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    forces = prediction.forces
    return BatchResult(
        loss.detach(), prediction.energy.detach(), None if forces is None else forces.detach(), gradients
    )


@contextlib.contextmanager
def fixed_shapes(model: Potential) -> Iterator[None]:
    """Let a model compute in shapes that follow from its batch's alone."""
    before, model.fixed_shapes = model.fixed_shapes, True
    try:
        yield
    finally:
        model.fixed_shapes = before


def moving(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained parameters by name."""
    return {name: own for name, own in model.named_parameters() if own.requires_grad}
