"""Potentials of a backbone and an MLP for each readout head, which is what most architectures are.

`Headed` holds what follows from that: which parameters are whose, and what a child copies from its parent. `Atomwise`
is a whole potential, E_i = MLP_head(x_i), for backbones of plain torch layers: its architecture gives two functions,
one that makes the layers, and one from a graph through them to the atoms' invariant features x. With `conditioning:
embedding` there is one readout, and the backbone is a function of the head too.

Legend: A atoms, F features, F0 features before the first layer.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mfsweep.models.architecture import MakesPotential, Shape
from mfsweep.models.base import AtomGraph, Potential, building
from mfsweep.models.lora import LinearMap


class Headed(Potential):
    """A backbone that all heads share, and a readout of each."""

    network: Any
    """The backbone, a module; its buffers follow from the spec."""
    readouts: nn.ModuleList
    """The readout of each head, in the shape's order; or the one of all heads."""

    def readout_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of every head's readout, and the methods' vectors where there are any."""
        return [*self.method_parameters(), *self.readouts.parameters()]

    @torch.no_grad()
    def copy_weights(self, state: Mapping[str, Tensor], parent: Shape, sources: Mapping[str, str]) -> None:
        """Copy a parent's backbone, and its heads into those that start from them."""
        for name, parameter in self.network.named_parameters(prefix="network"):
            parameter.copy_(state[name])
        for own, theirs in self.readouts_from(parent, sources).items():
            for name, parameter in self.readouts[own].named_parameters():
                parameter.copy_(state[f"readouts.{theirs}.{name}"])


MakeLayers = Callable[[Any, Shape], tuple[nn.ModuleDict, int]]
"""Spec and shape -> the backbone's layers, and how many features F they give an atom. The layer `embedding` holds the
F0 features with which an atom of each element begins."""
Features = Callable[[Any, nn.ModuleDict, AtomGraph, Tensor], Tensor]
"""Spec, layers, graph and the (A, F0) features before the first layer -> the (A, F) features, differentiable in the
graph's positions, twice."""


class Atomwise(Headed):
    """A backbone of plain torch layers, and an MLP with SiLU for each head."""

    def __init__(
        self,
        spec: Any,
        shape: Shape,
        offsets: Mapping[str, Mapping[int, float]],  # noqa: ARG002 (every architecture is built alike)
        *,
        layers: MakeLayers,
        features: Features,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        """Make the model on the CPU; `MakesPotential` says what all architectures take.

        Args:
            spec: architecture and size.
            shape: heads, elements.
            offsets: for which the model itself has no use.
            layers: makes the backbone.
            features: computes with it.
            seed: of the initial weights.
            dtype: of the weights.
        """
        super().__init__(spec, shape, seed=seed, dtype=dtype)
        self._features = features
        with building(seed, dtype):
            self.network, width = layers(spec, shape)
            self.readouts = nn.ModuleList(mlp(width, *shape.widths(spec, head), 1) for head in shape.readouts(spec))

    def atomic_energies(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (A,) atoms' interaction energies by one head, eV."""
        first, vector = self.network["embedding"](graph.species), self.vector_of(head)
        features = self._features(self.spec, self.network, graph, first if vector is None else first + vector)
        return self.readouts[self.readout_of(head)](features).squeeze(-1)

    @torch.no_grad()
    def shift_elements(self, vector: Tensor) -> None:
        """Add (F0,) to the features that atoms of every element have before the first layer."""
        self.network["embedding"].weight.add_(vector)

    def linear_maps(self) -> list[LinearMap]:
        """Return the dense layers of the backbone."""
        dense = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        return [LinearMap(layer, [(layer.out_features, layer.in_features)]) for layer in dense]


def atomwise(layers: MakeLayers, features: Features) -> MakesPotential:
    """Return what makes `Atomwise` models of a backbone."""
    return functools.partial(Atomwise, layers=layers, features=features)


def linear(into: int, out: int, *, bias: bool = True) -> nn.Linear:
    """Return a dense layer that begins as SchNetPack's do: weights of Glorot's uniform distribution, no bias."""
    layer = nn.Linear(into, out, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def mlp(*widths: int) -> nn.Sequential:
    """Return dense layers with SiLU between them."""
    layers: list[nn.Module] = []
    for into, out in itertools.pairwise(widths):
        layers += [linear(into, out), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
