"""MACE by mace-torch: its own ScaleShiftMACE with native readout heads, and energy offsets per head and element.

Why so: the model's layers and their initialisation are mace-torch's, so its numbers are MACE's; the heads and offsets
live in mace's own places, so `network` taken alone is a whole model that mace's tools can use (with `conditioning:
embedding` the vector of one head has to go into it first: file.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mfsweep.models.mace.importing import importing

with importing():
    import mace.modules as mace  # before e3nn, whose constants it loads
    from e3nn import o3
    from e3nn.nn import FullyConnectedNet

from mfsweep.models.architecture import Shape
from mfsweep.models.base import AtomGraph, Forward, Potential, building
from mfsweep.models.lora import LinearMap
from mfsweep.models.mace import Mace
from mfsweep.models.mace.blocks import Blocks
from mfsweep.models.mace.building import quickly
from mfsweep.models.mace.convolution import Convolution
from mfsweep.models.mace.equivariant import Mix, MixByElement, fully_connected
from mfsweep.models.mace.harmonics import Harmonics
from mfsweep.models.mace.product_basis import HIGHEST_CORRELATION, ProductBasis
from mfsweep.models.mace.readout import HeadMLPs, copy_head, head_energies, matrices
from mfsweep.models.slots import Slots


class MacePotential(Potential):
    """MACE with scale 1 and shift 0; the first layers' readouts are linear, the last one's an MLP with SiLU."""

    spec: Mace  # pyright: ignore[reportIncompatibleVariableOverride]
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
        super().__init__(spec, shape, seed=seed, dtype=dtype)
        parity = [(-1.0) ** order for order in range(spec.max_ell + 1) for _ in range(2 * order + 1)]
        self.register_buffer("_parity", torch.tensor(parity, dtype=dtype), persistent=False)
        self._harmonics = Harmonics(spec.max_ell, o3.wigner_3j, dtype)
        table = np.array([[offsets[head].get(z, 0.0) for z in shape.elements] for head in shape.heads])
        widths = [shape.widths(spec, head) for head in shape.readouts(spec)]
        self._has_bases = spec.correlation <= HIGHEST_CORRELATION
        self.first_is_residual = spec.interaction_first == "residual"
        with building(seed, dtype), quickly(own_layers=self._has_bases and not torch.cuda.is_available()):
            self.network = new_network(spec, shape, table)
            if any(hidden != (spec.readout_hidden,) for hidden in widths):
                self.network.readouts[-1] = HeadMLPs(spec.channels, widths)
        self._convolutions = nn.ModuleList(
            Convolution(layer.conv_tp, o3.wigner_3j, dtype) for layer in self.network.interactions
        )
        self._maps = nn.ModuleList(
            nn.ModuleList(
                [
                    Mix(layer.linear_up),
                    Mix(layer.linear, layer.avg_num_neighbors),
                    MixByElement(layer.skip_tp),
                    Mix(product.linear),
                ]
            )
            for layer, product in zip(self.network.interactions, self.network.products, strict=True)
        )
        self._bases = nn.ModuleList(
            ProductBasis(product.symmetric_contractions.contractions, range(spec.max_ell + 1), dtype)
            for product in self.network.products
            if self._has_bases
        )
        self.register_load_state_dict_post_hook(_follow_couplings)
        # In float64 whatever the precision: rounding E0 would cost more than the model's error.
        self.network.atomic_energies_fn.atomic_energies = torch.from_numpy(table)

    def atomic_energies(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (A,) atoms' interaction energies by one head, eV.

        This is ScaleShiftMACE.forward without what a training never reads (offsets, stress), on mace-torch's parameters
        but by layers of our own, which move less memory (convolution.py, product_basis.py) and whose bits do not depend
        on what the process did before (harmonics.py). What a pair's two directions share is computed once. The atoms
        are sorted by element, since each element has weights of its own.
        """
        if self.fixed_shapes or not self._has_bases:
            return Blocks(self).atomic_energies(graph, head)
        network, elements = self.network, len(self.shape.elements)
        species, order = torch.sort(graph.species, stable=True)
        counts = torch.bincount(species, minlength=elements).tolist()
        place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        edges = place[graph.edges]
        slots = Slots.of(edges, len(species))
        vectors = graph.vectors()
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        attributes = nn.functional.one_hot(species, elements).to(vectors.dtype)
        harmonics = slots.of_pairs(self._harmonics(vectors / lengths)) * slots.signs(self._parity)
        basis, _ = network.radial_embedding(lengths, attributes, edges[:, : len(vectors)], network.atomic_numbers)
        features = [self.first_features(attributes, head).unsqueeze(1)]
        column = self.readout_of(head)
        atomic = vectors.new_zeros(len(species))
        layers = zip(network.interactions, network.products, network.readouts, strict=True)
        for number, (layer, product, readout) in enumerate(layers):
            weights = fully_connected(layer.conv_tp_weights, basis)
            up, joined, skipped, mixed = self._maps[number].children()
            sent = up(layer.linear_up.weight, [[feature] for feature in features])
            summed = self._convolutions[number](sent, harmonics, weights, slots)
            message = joined(layer.linear.weight, summed)
            if number == 0 and not self.first_is_residual:  # the element acts on the message
                skip = []
                message = skipped(layer.skip_tp.weight, message, counts)
            else:  # it acts on the layer's input, which is added to the product
                skip = skipped(layer.skip_tp.weight, features, counts)
            components = torch.cat(message, 1).permute(2, 1, 0).contiguous()
            products = self._bases[number](components, product.symmetric_contractions.contractions, counts)
            features = mixed(product.linear.weight, [[part.permute(2, 1, 0)] for part in products])
            features = [part + skip[degree] if degree < len(skip) else part for degree, part in enumerate(features)]
            atomic = atomic + head_energies(readout, features[0][:, 0], column)
        return atomic.index_select(0, place)

    @classmethod
    def has_kernels(cls, library: str) -> bool:
        """Return whether all that a library of kernels consists of can be imported."""
        return all(importlib.util.find_spec(name) for name in _LIBRARIES[library])

    def by_kernels(self, library: str) -> Forward:
        """Return what computes the same by a library's kernels for the convolution, and the product basis if it can.

        Raises:
            ImportError: the library is not installed.
        """
        if library == "cueq":
            from mfsweep.models.mace.cueq import CueqMace

            return CueqMace(self)
        from mfsweep.models.mace.oeq import OeqMace

        return OeqMace(self)

    def harmonics(self, unit: Tensor) -> Tensor:
        """Return the (E, harmonics) of the (E / 2, 3) unit vectors of pairs, then of the same turned round."""
        found = self._harmonics(unit)
        return torch.cat([found, found * self._parity])

    def first_features(self, attributes: Tensor, head: str) -> Tensor:
        """Return the (A, C) features before the first layer of atoms with the (A, Z) one-hot elements, by one head."""
        features, vector = self.network.node_embedding(attributes), self.vector_of(head)
        return features if vector is None else features + vector

    @torch.no_grad()
    def shift_elements(self, vector: Tensor) -> None:
        """Add (C,) to the features that atoms of every element have before the first layer."""
        linear = self.network.node_embedding.linear
        (path,) = linear.instructions
        linear.weight.view(path.path_shape).add_(vector / path.path_weight)

    def readout_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the readouts of every head, and the methods' vectors where there are any."""
        return [*self.method_parameters(), *self.network.readouts.parameters()]

    def linear_maps(self) -> list[LinearMap]:
        """Return what mixes channels (o3.Linear), irrep by irrep, and the layers of the radial networks.

        The maps that hold one matrix for each element (the skip connection's and the product basis') stay as they are.
        """
        backbone = [self.network.node_embedding, *self.network.interactions, *self.network.products]
        modules: list[Any] = [module for part in backbone for module in part.modules()]
        mixing: list[Any] = [module for module in modules if isinstance(module, o3.Linear)]
        radial: list[Any] = [net.children() for net in modules if isinstance(net, FullyConnectedNet)]
        return [
            *(LinearMap(linear, [path.path_shape for path in linear.instructions]) for linear in mixing),
            *(LinearMap(layer, [(layer.weight.shape[0], layer.weight.shape[1])]) for net in radial for layer in net),
        ]

    @torch.no_grad()
    def copy_weights(self, state: Mapping[str, Tensor], parent: Shape, sources: Mapping[str, str]) -> None:
        """Copy a parent's backbone, and into heads the parent's heads that they start from, so that functions are kept.

        Coupling coefficients and basis functions are copied with the backbone: a model from outside may hold those of
        another version of mace-torch.
        """
        own = {**dict(self.named_buffers()), **dict(self.named_parameters())}
        for name, tensor in own.items():
            if name.startswith("network.") and name in state and not name.startswith(_PER_HEAD):
                tensor.copy_(state[name])
        _follow_couplings(self)
        columns = self.readouts_from(parent, sources)
        heads, parents = (len(shape.readouts(self.spec)) for shape in (self.shape, parent))
        *linear, last = [f"network.readouts.{layer}." for layer in range(len(self.network.readouts))]
        mine, theirs = _under(last, own), _under(last, state)
        for column, source in columns.items():
            for prefix in linear:
                readout, other = own[f"{prefix}linear.weight"], state[f"{prefix}linear.weight"]
                readout.view(-1, heads)[:, column] = other.view(-1, parents)[:, source].to(readout.dtype)
            copy_head(mine, column, heads, theirs, source, parents)

    @torch.no_grad()
    def scale_readouts(self, scale: Tensor) -> None:
        """Multiply the energies of each head by a number, (H,), in the last weights of its readouts."""
        heads = len(self.shape.heads)
        *linear, last = self.network.readouts
        for readout in linear:
            readout.linear.weight.view(-1, heads).mul_(scale)
        for column in range(heads):
            matrices(dict(last.named_parameters()), column, heads)[-1].mul_(scale[column])


def new_network(spec: Mace, shape: Shape, offsets: Any) -> mace.ScaleShiftMACE:
    """Return mace-torch's module with fresh weights, all its heads of the width `spec.readout_hidden`.

    Args:
        spec: the size.
        shape: heads, elements, mean number of neighbours.
        offsets: (H, Z) E0, eV.
    """
    readouts = shape.readouts(spec)
    residual = mace.interaction_classes["RealAgnosticResidualInteractionBlock"]
    agnostic = mace.interaction_classes["RealAgnosticInteractionBlock"]
    return mace.ScaleShiftMACE(
        atomic_inter_scale=[1.0] * len(readouts),
        atomic_inter_shift=[0.0] * len(readouts),
        r_max=spec.r_max,
        num_bessel=spec.bessel,
        num_polynomial_cutoff=spec.cutoff_order,
        max_ell=spec.max_ell,
        interaction_cls_first=residual if spec.interaction_first == "residual" else agnostic,
        interaction_cls=residual,
        num_interactions=spec.layers,
        num_elements=len(shape.elements),
        hidden_irreps=o3.Irreps(_hidden_irreps(spec)),
        MLP_irreps=o3.Irreps(f"{spec.readout_hidden}x0e"),
        atomic_energies=offsets,
        avg_num_neighbors=shape.avg_num_neighbors,
        atomic_numbers=list(shape.elements),
        correlation=spec.correlation,
        gate=nn.functional.silu,
        distance_transform=spec.distance_transform or "None",
        radial_MLP=list(spec.radial_hidden),
        use_reduced_cg=False,  # or a machine with cuequivariance would make another product basis
        heads=list(readouts),
    )


_LIBRARIES = {"cueq": ("cuequivariance_torch", "cuequivariance_ops_torch"), "oeq": ("openequivariance",)}
"""A library of kernels -> its packages."""

_PER_HEAD = ("network.readouts.", "network.atomic_energies_fn.", "network.scale_shift.")
"""What of mace's state belongs to the heads."""


def _follow_couplings(model: Any, _: Any = None) -> None:
    """Tabulate anew the couplings of a model, which a state that was loaded may have changed."""
    for basis, product in zip(model._bases, model.network.products, strict=False):  # noqa: SLF001 (our own)
        basis.derive(product.symmetric_contractions.contractions)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _hidden_irreps(spec: Mace) -> str:
    """Return for example `64x0e+64x1o`: each order with the parity of the spherical harmonics."""
    return "+".join(f"{spec.channels}x{order}{'eo'[order % 2]}" for order in range(spec.max_L + 1))
