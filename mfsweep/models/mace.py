"""MACE by mace-torch: its own ScaleShiftMACE with native readout heads, and energy offsets per head and element.

Why so: the model's layers and their initialisation are mace-torch's, so its numbers are MACE's; the heads and offsets
live in mace's own places, so `network` taken alone is a whole model that mace's tools can use.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    # At import, mace-torch 0.3 and e3nn 0.4 use torch.jit.script and a bare torch.load, and print that cuequivariance
    # is not installed: nothing that a user should act on.
    warnings.simplefilter("ignore")
    import mace.modules as mace  # before e3nn, whose constants it loads
    from e3nn import get_optimization_defaults, o3, set_optimization_defaults

from mfsweep.models.base import Graph, Potential, Shape
from mfsweep.spec.model import Mace


class MacePotential(Potential):
    """MACE with scale 1 and shift 0; the first layers' readouts are linear, the last one's an MLP with SiLU."""

    network: Any
    """The ScaleShiftMACE; its submodules have no static types."""
    _parity: Tensor
    """(harmonics,) what each spherical harmonic is multiplied by when its vector is turned round."""

    def __init__(
        self, spec: Mace, shape: Shape, offsets: Mapping[str, Mapping[int, float]], *, seed: int, dtype: torch.dtype
    ) -> None:
        """Make the model on the CPU, its weights drawn from `seed` alone.

        Args:
            spec: the size.
            shape: heads, elements, mean number of neighbours.
            offsets: head -> atomic number -> E0 in eV. An element that a head's labels lack counts 0.
            seed: of the initial weights; torch's global generator is left as it was.
            dtype: of the weights; torch's global default is left as it was.
        """
        super().__init__()
        self.shape = shape
        self.cutoff = spec.r_max
        self._hidden = spec.readout_hidden
        parity = [(-1.0) ** order for order in range(spec.max_ell + 1) for _ in range(2 * order + 1)]
        self.register_buffer("_parity", torch.tensor(parity, dtype=dtype), persistent=False)
        table = np.array([[offsets[head].get(z, 0.0) for z in shape.elements] for head in shape.heads])
        with torch.random.fork_rng(devices=[]), _defaults(dtype), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            self.network = mace.ScaleShiftMACE(
                atomic_inter_scale=[1.0] * len(shape.heads),
                atomic_inter_shift=[0.0] * len(shape.heads),
                r_max=spec.r_max,
                num_bessel=spec.bessel,
                num_polynomial_cutoff=spec.cutoff_order,
                max_ell=spec.max_ell,
                interaction_cls_first=mace.interaction_classes["RealAgnosticInteractionBlock"],
                interaction_cls=mace.interaction_classes["RealAgnosticResidualInteractionBlock"],
                num_interactions=spec.layers,
                num_elements=len(shape.elements),
                hidden_irreps=o3.Irreps(_hidden_irreps(spec)),
                MLP_irreps=o3.Irreps(f"{spec.readout_hidden}x0e"),
                atomic_energies=table,
                avg_num_neighbors=shape.avg_num_neighbors,
                atomic_numbers=list(shape.elements),
                correlation=spec.correlation,
                gate=nn.functional.silu,
                radial_MLP=list(spec.radial_hidden),
                heads=list(shape.heads),
            )
        # In float64 whatever the precision: rounding E0 would cost more than the model's error.
        self.network.atomic_energies_fn.atomic_energies = torch.from_numpy(table)

    def energy(self, graph: Graph, head: str) -> Tensor:
        """Return the (S,) interaction energies by one head, eV.

        This is ScaleShiftMACE.forward without what a training never reads (offsets, stress, node energies), and with
        what a pair's two directions share computed once: radial weights are equal, harmonics equal up to their parity.
        """
        network = self.network
        sender, receiver = graph.edges
        pairs = graph.edges.shape[1] // 2
        positions = graph.positions
        vectors = positions.index_select(0, receiver[:pairs]) - positions.index_select(0, sender[:pairs])
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        attributes = nn.functional.one_hot(graph.species, len(self.shape.elements)).to(vectors.dtype)
        harmonics = network.spherical_harmonics(vectors)
        harmonics = torch.cat([harmonics, harmonics * self._parity])
        radial, _ = network.radial_embedding(lengths, attributes, graph.edges, network.atomic_numbers)
        features = network.node_embedding(attributes)
        column = self.shape.heads.index(head)
        heads = torch.full_like(graph.species, column)
        atomic = vectors.new_zeros(len(graph.species))
        layers = zip(network.interactions, network.products, network.readouts, strict=True)
        for number, (layer, product, readout) in enumerate(layers):
            weights = layer.conv_tp_weights(radial)
            messages = layer.conv_tp(
                layer.linear_up(features).index_select(0, sender), harmonics, torch.cat([weights, weights])
            )
            message = messages.new_zeros(len(graph.species), messages.shape[1]).index_add(0, receiver, messages)
            message = layer.linear(message) / layer.avg_num_neighbors
            if number == 0:  # RealAgnosticInteractionBlock: the element acts on the message
                skip = None
                message = layer.skip_tp(message, attributes)
            else:  # RealAgnosticResidualInteractionBlock: it acts on the features that are added to the product
                skip = layer.skip_tp(features, attributes)
            features = product(node_feats=layer.reshape(message), sc=skip, node_attrs=attributes)
            atomic = atomic + readout(features, heads)[:, column]
        return atomic.new_zeros(graph.size).index_add(0, graph.structure, atomic)

    def readout_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of both readouts of every head."""
        return list(self.network.readouts.parameters())

    @torch.no_grad()
    def adopt(self, state: Mapping[str, Tensor], heads: Sequence[str], sources: Mapping[str, str]) -> None:
        """Copy a parent's backbone, and into each head the parent's head that it starts from.

        A linear readout holds one column of weights per head. The last one holds a block of hidden units per head and
        divides its output by sqrt(heads x hidden): the weights are rescaled so that the head's function is kept.
        """
        columns = [list(heads).index(sources[head]) for head in self.shape.heads]
        own, parents = len(self.shape.heads), len(heads)
        last = f"network.readouts.{len(self.network.readouts) - 1}."
        for name, parameter in self.named_parameters():
            value = state[name].to(parameter.dtype)
            if name == f"{last}linear_1.weight":
                value = value.view(-1, parents, self._hidden)[:, columns]
            elif name == f"{last}linear_2.weight":
                blocks = value.view(parents, self._hidden, parents)
                # Weights between one head's hidden units and another's output are never used: zero.
                value = value.new_zeros(own, self._hidden, own)
                for index, column in enumerate(columns):
                    value[index, :, index] = blocks[column, :, column] * (own / parents) ** 0.5
            elif name.startswith("network.readouts."):
                value = value.view(-1, parents)[:, columns]
            parameter.copy_(value.reshape(parameter.shape))


def _hidden_irreps(spec: Mace) -> str:
    """Return for example `64x0e+64x1o`: each order with the parity of the spherical harmonics."""
    return "+".join(f"{spec.channels}x{order}{'eo'[order % 2]}" for order in range(spec.max_L + 1))


@contextlib.contextmanager
def _defaults(dtype: torch.dtype) -> Iterator[None]:
    """Build in `dtype` and without TorchScript, which takes 1 s of a model's 1.4 s and makes no step quicker."""
    previous, options = torch.get_default_dtype(), get_optimization_defaults()
    torch.set_default_dtype(dtype)
    set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        torch.set_default_dtype(previous)
        set_optimization_defaults(**options)
