"""Allegro by nequip-allegro: its own embeddings and layers, and one readout MLP per label method on the pair features.

Why so: the backbone's modules, their normalisation and their initialisation are nequip-allegro's, so its numbers are
Allegro's; its energy model ends in one readout, so the readouts and the sums over pairs are made here, from its own
MLP. nequip needs another e3nn than mace-torch: this module is imported by a process of the overlay only.
"""

# pyright: reportMissingImports=false
# The overlay is no part of the environment that is checked.

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    # At import, nequip 0.19 uses what omegaconf 2.4 has renamed: nothing that a user should act on.
    warnings.simplefilter("ignore")
    from allegro.nn import Allegro_Module, TwoBodyBesselScalarEmbed, TwoBodySphericalHarmonicTensorEmbed
    from allegro.nn._strided import Contracter
    from e3nn import o3
    from nequip.data import AtomicDataDict as Key
    from nequip.nn import ScalarMLP, SequentialGraphNetwork
    from nequip.nn.embedding import EdgeLengthNormalizer
    from nequip.nn.mlp import ScalarLinearLayer

from mfsweep.models.allegro import Allegro
from mfsweep.models.architecture import Shape
from mfsweep.models.base import AtomGraph, building
from mfsweep.models.headed import Headed
from mfsweep.models.lora import LinearMap


class AllegroPotential(Headed):
    """Allegro: E_i = sum_j MLP_head(x_ij) / sqrt(2 n), with n the mean number of neighbours, as nequip-allegro has it.

    x_ij holds the scalar features of the ordered pair ij after every layer, as in nequip-allegro's own readout.
    """

    network: SequentialGraphNetwork
    """nequip-allegro's modules from a graph to x_ij."""

    def __init__(
        self,
        spec: Allegro,
        shape: Shape,
        offsets: Mapping[str, Mapping[int, float]],  # noqa: ARG002 (every architecture is built alike)
        *,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        """Make the model on the CPU, its weights drawn from `seed` alone.

        Args:
            spec: the size.
            shape: heads, elements, mean number of neighbours.
            offsets: head -> atomic number -> E0 in eV, for which the model itself has no use.
            seed: of the initial weights; torch's global generator is left as it was.
            dtype: of the weights; torch's global default is left as it was.
        """
        super().__init__(spec, shape, seed=seed, dtype=dtype)
        with building(seed, dtype):
            self.network = _backbone(spec, shape)
            features = self.network.irreps_out[Key.EDGE_FEATURES_KEY].dim
            self.readouts = nn.ModuleList(_mlp((features, *shape.widths(spec, head), 1)) for head in shape.heads)
        self.to(dtype)  # nequip keeps the radial basis in float64 whatever the precision
        self._scale = (2 * shape.avg_num_neighbors) ** -0.5

    def atomic_energies(self, graph: AtomGraph, head: str) -> Tensor:
        """Return the (A,) atoms' interaction energies by one head, eV; an atom's share of a pair stays its own."""
        positions, vectors = graph.positions, graph.vectors()
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        data = self.network(
            {
                Key.POSITIONS_KEY: positions,
                Key.EDGE_INDEX_KEY: graph.edges,
                Key.EDGE_TYPE_KEY: graph.species[graph.edges],
                Key.EDGE_VECTORS_KEY: torch.cat([vectors, -vectors]),
                Key.EDGE_LENGTH_KEY: torch.cat([lengths, lengths]),
            }
        )
        readout = self.readouts[self.shape.heads.index(head)]
        energies = readout(data[Key.EDGE_FEATURES_KEY]).squeeze(-1) * self._scale
        return energies.new_zeros(len(positions)).index_add(0, graph.edges[0], energies)

    def linear_maps(self) -> list[LinearMap]:
        """Return the layers of every network on scalar features."""
        layers = [module for module in self.network.modules() if isinstance(module, ScalarLinearLayer)]
        return [LinearMap(layer, [(layer.in_features, layer.out_features)]) for layer in layers]


class _BatchedProduct(nn.Module):
    """nequip-allegro's tensor product of pair features with their centre's, as one matrix product per channel.

    The terms are its own. But it sums over an array of pairs x channels x i x j x k, which without compilation is
    gigabytes for a batch of the study's size.
    """

    def __init__(self, product: Contracter) -> None:
        super().__init__()
        self.product = product

    def forward(self, pairs: Tensor, atoms: Tensor, centre: Tensor) -> Tensor:
        """Return the (E, U, K) products of pair features (E, U, I) with their centres' (E,) of the atoms' (A, U, J)."""
        product = self.product
        coupling = torch.einsum(product._weight_w3j_einstr, product.weights, product.w3j)  # noqa: SLF001
        atoms = atoms.index_select(0, centre)
        outer = pairs * atoms if product.w3j_is_ij_diagonal else torch.einsum("eui,euj->euij", pairs, atoms).flatten(2)
        return torch.einsum("eui,uik->euk", outer, coupling.reshape(product.mul, outer.shape[2], -1))


def _backbone(spec: Allegro, shape: Shape) -> SequentialGraphNetwork:
    """Return nequip-allegro's modules from pair lengths and vectors to the scalar features of each pair.

    They are what its AllegroModel holds before the readout, which itself needs packages for training that are not in
    the overlay.
    """
    types = [str(number) for number in shape.elements]
    harmonics = o3.Irreps.spherical_harmonics(spec.l_max, p=-1)
    tracked = [(1, (order, parity)) for order in range(spec.l_max + 1) for parity in (1, -1)]
    lengths = EdgeLengthNormalizer(r_max=spec.r_max, type_names=types)
    radial = TwoBodyBesselScalarEmbed(
        type_names=types,
        num_bessels=spec.bessel,
        polynomial_cutoff_p=spec.cutoff_order,
        module_output_dim=spec.scalar_channels,
        irreps_in=lengths.irreps_out,
    )
    scalars = ScalarMLP(
        output_dim=spec.scalar_channels,
        hidden_layers_depth=spec.mlp_layers,
        hidden_layers_width=spec.mlp_width,
        field=Key.EDGE_EMBEDDING_KEY,
        irreps_in=radial.irreps_out,
    )
    tensors = TwoBodySphericalHarmonicTensorEmbed(
        irreps_edge_sh=harmonics, num_tensor_features=spec.tensor_channels, irreps_in=scalars.irreps_out
    )
    layers = Allegro_Module(
        num_layers=spec.layers,
        num_scalar_features=spec.scalar_channels,
        num_tensor_features=spec.tensor_channels,
        tensor_track_allowed_irreps=o3.Irreps(tracked),
        avg_num_neighbors=shape.avg_num_neighbors,
        type_names=types,
        latent_kwargs={"hidden_layers_depth": spec.mlp_layers, "hidden_layers_width": spec.mlp_width},
        irreps_in=tensors.irreps_out,
    )
    layers.tps = nn.ModuleList(_BatchedProduct(product) for product in layers.tps)
    modules = {"lengths": lengths, "radial": radial, "scalars": scalars, "tensors": tensors, "layers": layers}
    return SequentialGraphNetwork(modules)


def _mlp(widths: Sequence[int]) -> nn.Sequential:
    """Return nequip's MLP with SiLU and without bias: variances are kept, by scaling weights of variance 1."""
    layers: list[nn.Module] = []
    for into, out in itertools.pairwise(widths):
        gain = 2**0.5 if layers else 1.0
        layers += [ScalarLinearLayer(into, out, alpha=gain / into**0.5), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
