"""MACE by mace-torch: its own ScaleShiftMACE with native readout heads, and energy offsets per head and element.

Why so: the model's layers and their initialisation are mace-torch's, so its numbers are MACE's; the heads and offsets
live in mace's own places, so `network` taken alone is a whole model that mace's tools can use.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    # mace-torch 0.3 and e3nn 0.4 use torch.jit.script and a bare torch.load at import: theirs to change, not the user's.
    warnings.simplefilter("ignore")
    import mace.modules as mace  # before e3nn, whose constants it loads
    from e3nn import get_optimization_defaults, o3, set_optimization_defaults

from mfsweep.models.base import Graph, Potential, Shape
from mfsweep.spec.model import Mace


class MacePotential(Potential):
    """MACE with scale 1 and shift 0; the first layers' readouts are linear, the last one's an MLP with SiLU."""

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
                hidden_irreps=_hidden_irreps(spec),
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

        This is ScaleShiftMACE.forward without what a training never reads (offsets, stress, node energies).
        """
        network = self.network
        sender, receiver = graph.edges
        vectors = graph.positions[receiver] - graph.positions[sender]
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        attributes = nn.functional.one_hot(graph.species, len(self.shape.elements)).to(vectors.dtype)
        features = network.node_embedding(attributes)
        harmonics = network.spherical_harmonics(vectors)
        radial, cutoff = network.radial_embedding(lengths, attributes, graph.edges, network.atomic_numbers)
        column = self.shape.heads.index(head)
        heads = torch.full_like(graph.species, column)
        atomic = vectors.new_zeros(len(graph.species))
        for interaction, product, readout in zip(network.interactions, network.products, network.readouts, strict=True):
            features, skip = interaction(
                node_attrs=attributes,
                node_feats=features,
                edge_attrs=harmonics,
                edge_feats=radial,
                edge_index=graph.edges,
                cutoff=cutoff,
            )
            features = product(node_feats=features, sc=skip, node_attrs=attributes)
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


def _hidden_irreps(spec: Mace) -> o3.Irreps:
    return o3.Irreps([(spec.channels, (order, (-1) ** order)) for order in range(spec.max_L + 1)])


@contextlib.contextmanager
def _defaults(dtype: torch.dtype) -> Iterator[None]:
    """Build in `dtype`, without TorchScript: scripting takes 1 s of a model's 1.4 s and makes no step quicker (measured)."""
    previous, options = torch.get_default_dtype(), get_optimization_defaults()
    torch.set_default_dtype(dtype)
    set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        torch.set_default_dtype(previous)
        set_optimization_defaults(**options)
