"""What a model must give: energies and forces of a batch by one readout head, and which parameters are the head's.

E(R; method) = sum_i head_method(backbone(env_i)) + E0_method(Z_i). A `Potential` computes the first term, the
interaction energy; the offsets E0 are added in float64 outside of it, because 1e3 eV in float32 is worth meV.

Legend: S structures, A atoms, E edges, H heads, Z elements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mfsweep.errors import TrainingError, nearest


class Graph(NamedTuple):
    """One batch of structures as a model sees it, on the model's device.

    One water molecule (O, H, H) in a model of the elements (1, 6, 7, 8), all pairs within the cutoff:
    `species = [3, 0, 0]`, `structure = [0, 0, 0]`, `edges = [[0, 0, 1, 1, 2, 2], [1, 2, 2, 0, 0, 1]]`, `size = 1`.
    """

    species: Tensor
    """(A,) int64, index into the model's `elements`."""
    positions: Tensor
    """(A, 3) angstrom, in the model's precision."""
    structure: Tensor
    """(A,) int64, the structure that each atom belongs to."""
    edges: Tensor
    """(2, E) int64, sender and receiver: every pair within the cutoff once, then in the same order turned round."""
    size: int
    """S."""


class Prediction(NamedTuple):
    """What a model says of a `Graph`."""

    energy: Tensor
    """(S,) interaction energies without offsets, eV."""
    forces: Tensor | None
    """(A, 3) eV/angstrom; None where they were not asked for, and then never computed."""


class Shape(NamedTuple):
    """What a model's parameters depend on, beside its spec."""

    heads: tuple[str, ...]
    """Label methods, one readout head each."""
    elements: tuple[int, ...]
    """Atomic numbers, ascending."""
    avg_num_neighbors: float
    """Mean number of neighbours of an atom, by which messages are divided."""


class Potential(nn.Module, ABC):
    """A model with one readout head per label method over a shared backbone."""

    shape: Shape
    cutoff: float
    """Radius within which atoms are neighbours, angstrom."""

    @abstractmethod
    def energy(self, graph: Graph, head: str) -> Tensor:
        """Return the (S,) interaction energies by one head, eV, differentiable in `graph.positions`."""

    @abstractmethod
    def readout_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the readout heads."""

    @abstractmethod
    def adopt(self, state: Mapping[str, Tensor], heads: Sequence[str], sources: Mapping[str, str]) -> None:
        """Copy a parent's weights into this model, which then computes by each head what the parent did by its source.

        Args:
            state: the parent's `state_dict()`; its spec and elements are this model's.
            heads: the parent's heads, in its order.
            sources: own head -> the parent's head that it starts from.
        """

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that all heads share."""
        readouts = {id(parameter) for parameter in self.readout_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in readouts]

    def forward(self, graph: Graph, head: str, *, forces: bool) -> Prediction:
        """Return energies and, if asked, forces = -dE/dR by one head.

        While the model is in training mode the forces can be differentiated once more, for a loss on them.
        """
        if not forces:
            return Prediction(self.energy(graph, head), None)
        with torch.enable_grad():
            positions = graph.positions.detach().requires_grad_()
            energy = self.energy(graph._replace(positions=positions), head)
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=self.training)
        return Prediction(energy, -gradient)


def match_heads(heads: Sequence[str], parent: Sequence[str]) -> dict[str, str]:
    """Return for each head the parent's head that it starts from: the same method's, else the parent's only one.

    Raises:
        TrainingError: a head is not among the parent's several (README rule 9).
    """
    sources = {}
    for head in heads:
        if head not in parent and len(parent) > 1:
            raise TrainingError(
                f"the readout head {head!r} cannot start from the parent stage: it has the heads {', '.join(parent)}, "
                f"none of that method. Expected a parent with a head {head!r} or with one head only."
                + nearest(head, parent)
            )
        sources[head] = head if head in parent else parent[0]
    return sources
