"""MACE's energies by whole blocks, whose shapes follow from the sizes of a batch alone, and who computes two of them.

mace-torch's own blocks run for any correlation, can be traced whole, and keep their shapes in CUDA graphs. Libraries of
kernels (cueq.py, oeq.py) take the convolution, and one of them the product basis, in their place.

Legend: A atoms, E edges, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mfsweep.models.base import AtomGraph, ModelOutput, predict
from mfsweep.models.mace.readout import head_energies

if TYPE_CHECKING:
    from mfsweep.models.mace.network import MacePotential


class Blocks:
    """Computes what a `MacePotential` does, with its parameters, by mace-torch's own blocks."""

    def __init__(self, model: MacePotential) -> None:
        """Compute by a model's blocks as they are."""
        self._model = model

    def __call__(self, graph: AtomGraph, head: str, *, forces: bool) -> ModelOutput:
        """Return energies and forces as the model does."""
        return predict(self._energy, graph, head, forces=forces, differentiable=self._model.training)

    def _energy(self, graph: AtomGraph, head: str) -> Tensor:
        return self._model.summed(self.atomic_energies(graph, head), graph, head)

    def atomic_energies(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (A,) atoms' interaction energies by one head, eV."""
        model, network = self._model, self._model.network
        pairs = graph.edges.shape[1] // 2
        vectors = graph.vectors()
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        attributes = torch.nn.functional.one_hot(graph.species, len(model.shape.elements)).to(vectors.dtype)
        harmonics = model.harmonics(vectors / lengths)
        radial, _ = network.radial_embedding(lengths, attributes, graph.edges[:, :pairs], network.atomic_numbers)
        features = model.first_features(attributes, head)
        column = model.readout_of(head)
        atomic = vectors.new_zeros(graph.species.shape[0])
        layers = zip(network.interactions, network.products, network.readouts, strict=True)
        for number, (layer, product, readout) in enumerate(layers):
            weights = layer.conv_tp_weights(radial)
            up = layer.linear_up(features)
            message = self._convolve(number, up, harmonics, torch.cat([weights, weights]), graph.edges)
            message = layer.linear(message) / layer.avg_num_neighbors
            if number == 0 and not model.first_is_residual:  # the element acts on the message
                skip, message = None, layer.skip_tp(message, attributes)
            else:  # it acts on the layer's input, which is added to the product
                skip = layer.skip_tp(features, attributes)
            basis = product.linear(self._contract(number, layer.reshape(message), attributes, graph.species))
            features = basis if skip is None else basis + skip
            atomic = atomic + head_energies(readout, features[:, : model.spec.channels], column)
        return atomic

    def _convolve(self, number: int, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        """Return the sums over neighbours of one layer.

        Args:
            number: of the layer.
            features: (A, dim) of the senders, in e3nn's order.
            harmonics: (E, (max_ell + 1)^2) of the edges.
            weights: (E, paths x C) radial weights.
            edges: (2, E) sender and receiver.
        """
        messages = self._layer(number).conv_tp(features.index_select(0, edges[0]), harmonics, weights)
        return messages.new_zeros(features.shape[0], messages.shape[1]).index_add(0, edges[1], messages)

    def _contract(self, number: int, message: Tensor, attributes: Tensor, species: Tensor) -> Tensor:  # noqa: ARG002
        """Return the product basis of one layer.

        Args:
            number: of the layer.
            message: (A, C, components).
            attributes: (A, elements) one-hot.
            species: (A,) index of the element.
        """
        return self._model.network.products[number].symmetric_contractions(message, attributes)

    def _layer(self, number: int) -> Any:
        return self._model.network.interactions[number]
