"""PaiNN (arXiv:2102.03150) in plain PyTorch: its fields, size, cost, and equations.

Equivariant message passing with scalars and vectors alone: no tensor products, so it is quick and needs no package but
torch; less accurate than MACE from few data.

    message   ds_i = sum_j phi_s(s_j) W_s(r_ij)
              dv_i = sum_j v_j phi_vv(s_j) W_vv(r_ij) + phi_vs(s_j) W_vs(r_ij) r_ij / |r_ij|
    update    ds_i = a_ss + a_sv <U v_i, V v_i>,   dv_i = a_vv U v_i,   a = MLP(s_i, |V v_i|)

Legend: A atoms, E edges, P = E / 2 pairs, F channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mfsweep.models.architecture import Architecture, MakesPotential, Shape, Timed, dense
from mfsweep.spec.base import PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mfsweep.models.base import AtomGraph

_TINY = 1e-8
"""Added to |V v|^2 before its root, as in SchNetPack: where v is zero, as on a site of high symmetry, the root alone
has no slope."""


class Painn(Architecture):
    """PaiNN in plain PyTorch. The defaults are its paper's for molecules (arXiv:2102.03150)."""

    architecture: Literal["painn"] = "painn"
    channels: PositiveInt = 128
    """Scalar features of an atom, and as many vectors."""
    layers: PositiveInt = 3
    """Layers, each of a message and an update."""
    r_max: PositiveFloat = 5.0
    """Cutoff radius in angstrom; a cosine brings messages to zero there."""
    bessel: PositiveInt = 20
    """Radial basis functions."""
    readout_hidden: PositiveInt = 64
    """Hidden width of the readout of each head, SiLU."""

    PACKAGES: ClassVar = ()
    SHOWN: ClassVar = ("channels",)
    FIRST_FEATURES: ClassVar = "channels"

    def weights(self, elements: int, readouts: Sequence[Sequence[int]]) -> int:
        """Return how many parameters its models have: 0.6 million by default."""
        width = self.channels
        message = dense(width, width, 3 * width, bias=True) + dense(self.bessel, 3 * width, bias=True)
        update = dense(width, 2 * width) + dense(2 * width, width, 3 * width, bias=True)
        outward = sum(dense(width, *hidden, 1, bias=True) for hidden in readouts)
        return elements * width + self.layers * (message + update) + outward

    def effort(self) -> float:
        """Return layers x channels: messages are moved for longer than they are multiplied."""
        return self.layers * self.channels

    @classmethod
    def measured(cls) -> tuple[Timed, ...]:
        """Return batches of 252 atoms of 18 made-up molecules, as `mfsweep bench` measures them."""
        device = "CPU (x86_64), 1 thread"
        return (
            Timed(cls(channels=32), 0.079, 0.023, device),
            Timed(cls(channels=64), 0.15, 0.044, device),
            Timed(cls(channels=128), 0.29, 0.080, device),
            Timed(cls(channels=256), 0.58, 0.19, device),
        )

    @classmethod
    def potential(cls) -> MakesPotential:
        """Import torch."""
        from mfsweep.models.headed import atomwise

        return atomwise(_layers, _features)


def _layers(spec: Painn, shape: Shape) -> tuple[nn.ModuleDict, int]:
    """Return the layers; U and V of an update are one matrix, as are the three parts of phi, W and a."""
    from torch import nn

    from mfsweep.models.headed import linear, mlp

    width = spec.channels

    def layer() -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                "phi": mlp(width, width, 3 * width),
                "filter": linear(spec.bessel, 3 * width),
                "mix": linear(width, 2 * width, bias=False),
                "gates": mlp(2 * width, width, 3 * width),
            }
        )

    embedding = nn.Embedding(len(shape.elements), width)
    layers = nn.ModuleList(layer() for _ in range(spec.layers))
    return nn.ModuleDict({"embedding": embedding, "layers": layers}), width


def _features(spec: Painn, network: nn.ModuleDict, graph: AtomGraph, scalars: Tensor) -> Tensor:
    """Return the (A, F) scalars after the last layer, from those before the first."""
    import torch

    sender, receiver = graph.edges
    vectors = graph.vectors()
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    basis, envelope = _radial(spec, lengths)
    unit = vectors / lengths
    directions = torch.cat([unit, -unit]).unsqueeze(2)  # (E, 3, 1)
    equivariant = scalars.new_zeros(scalars.shape[0], 3, spec.channels)
    layers: Any = network["layers"]
    for layer in layers:
        filters = layer["filter"](basis) * envelope
        messages = layer["phi"](scalars).index_select(0, sender) * torch.cat([filters, filters])
        to_scalars, along, across = messages.split(spec.channels, 1)
        to_vectors = equivariant.index_select(0, sender) * along.unsqueeze(1) + directions * across.unsqueeze(1)
        scalars = scalars.index_add(0, receiver, to_scalars)
        equivariant = equivariant.index_add(0, receiver, to_vectors)
        left, right = layer["mix"](equivariant).split(spec.channels, 2)
        norms = (right.square().sum(1) + _TINY).sqrt()
        own, product, stretch = layer["gates"](torch.cat([scalars, norms], 1)).split(spec.channels, 1)
        scalars = scalars + own + product * (left * right).sum(1)
        equivariant = equivariant + stretch.unsqueeze(1) * left
    return scalars


def _radial(spec: Painn, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (P, bessel) functions sin(n pi r / r_max) / r and the (P, 1) cosine cutoff of (P, 1) lengths."""
    import torch

    scaled = lengths * (math.pi / spec.r_max)
    orders = torch.arange(1, spec.bessel + 1, dtype=lengths.dtype, device=lengths.device)
    envelope = torch.where(lengths < spec.r_max, 0.5 * (torch.cos(scaled) + 1), 0.0)
    return torch.sin(scaled * orders) / lengths, envelope
