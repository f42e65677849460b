"""A vector for each structure that tells what its label would teach a model's readout: the gradient of its energy.

g_s = d E_s / d (weights of one readout head), divided by the atoms of s, since errors are counted per atom. For a
linear readout it is the mean of the atoms' last features, for an MLP the features of its tangent kernel. Any
architecture has it, since each says which parameters are its readouts'. Batch active learning for potentials rests on
such vectors (Zaverkin et al., Digital Discovery 1, 605 (2022); Holzmueller et al., arXiv:2203.09410).

Long gradients are projected to `WIDTH` numbers by one seeded Gaussian matrix, which keeps distances and products.

Shapes: `S` structures, `D` features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfsweep.data.bare import bare_batch, without_labels
from mfsweep.data.structures import Structures
from mfsweep.models.base import AtomGraph, Potential
from mfsweep.train.evaluate import chunks
from mfsweep.train.tensors import Sender

WIDTH = 512
"""D at most."""
MAX_ATOMS = 1024
"""Atoms that go through a model at a time."""


def readout_features(
    model: Potential, structures: Structures, indices: NDArray[np.integer], head: str
) -> NDArray[np.float64]:
    """Return the (S, D) float64 features of some structures by one head, eV/atom per unit of a weight.

    Args:
        model: on its device; which parameters want gradients is as before afterwards.
        structures: all of elements that the model knows.
        indices: (S,) those that are meant.
        head: readout head.
    """
    parameter = next(model.parameters())
    sender = Sender(model.shape.elements, parameter.dtype, parameter.device)
    sizes = structures.sizes[indices]
    rows: list[NDArray[np.float64]] = []
    count = sum(own.numel() for own in model.readout_parameters())
    project = np.random.default_rng(0).standard_normal((count, WIDTH)) / np.sqrt(WIDTH) if count > WIDTH else None
    with _only_readouts(model):
        for start, stop in chunks(sizes, MAX_ATOMS):
            part = without_labels(structures, indices[start:stop])
            gradients = gradients_of(model, sender.graph(bare_batch(part, model.cutoff)), head)
            found = gradients.cpu().numpy().astype(np.float64) / part.sizes[:, None]
            rows.append(found if project is None else found @ project)
    return np.concatenate(rows)


def gradients_of(model: Potential, graph: AtomGraph, head: str) -> Tensor:
    """Return the (S, P) slopes of the structures' energies by the P weights of the readouts, zero for other heads'.

    Args:
        model: only its readouts' parameters want gradients, so that a slope costs no more than the readout.
        graph: S structures.
        head: readout head.
    """
    parameters = model.readout_parameters()
    energies = model.energy(graph, head)
    each = torch.eye(graph.size, dtype=energies.dtype, device=energies.device)
    found = torch.autograd.grad(energies, parameters, grad_outputs=each, is_grads_batched=True, allow_unused=True)
    slopes = [
        each.new_zeros(graph.size, own.numel()) if slope is None else slope.reshape(graph.size, -1)
        for own, slope in zip(parameters, found, strict=True)
    ]
    return torch.cat(slopes, dim=1)


class _only_readouts:  # noqa: N801 (used as a function)
    """Let only the readouts' parameters want gradients meanwhile."""

    def __init__(self, model: Potential) -> None:
        self._wanted = {parameter: parameter.requires_grad for parameter in model.parameters()}
        self._readouts = {id(parameter) for parameter in model.readout_parameters()}

    def __enter__(self) -> None:
        for parameter in self._wanted:
            parameter.requires_grad_(id(parameter) in self._readouts)

    def __exit__(self, *_: object) -> None:
        for parameter, wanted in self._wanted.items():
            parameter.requires_grad_(wanted)
