"""MACE's convolution and product basis by NVIDIA's cuEquivariance, on the parameters of the model as it stands.

The kernels come through mace-torch's own switch (`mace.modules.wrapper_ops`). Nothing is converted back: every weight
stays a parameter of the `MacePotential`; what a kernel wants in another order is put together from them in each step,
as mace-torch's converter (mace/cli/convert_e3nn_cueq.py) does once, and gradients flow back through it.

Legend: A atoms, E edges, C channels.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor

from mfsweep.models.base import building
from mfsweep.models.mace.blocks import Blocks
from mfsweep.models.mace.network import MacePotential


class CueqMace(Blocks):
    """Computes what a `MacePotential` does, with its parameters."""

    def __init__(self, model: MacePotential) -> None:
        """Make the kernels for a model's layers.

        Args:
            model: on its device.

        Raises:
            ImportError: cuEquivariance is not installed.
        """
        if importlib.util.find_spec("cuequivariance_torch") is None:
            raise ImportError("cuequivariance_torch is not installed")
        super().__init__(model)
        spec = model.spec
        example = next(model.parameters())
        kind = (example.dtype, example.device)
        self._fused = example.device.type == "cuda"
        network, elements = model.network, len(model.shape.elements)
        self._convolutions = [
            _convolution(own.irreps_in1, own.irreps_in2, own.irreps_out, *kind)
            for own in (layer.conv_tp for layer in network.interactions)
        ]
        self._contractions = [
            _contraction(own.irreps_in, own.irreps_out, spec.correlation, elements, *kind)
            for own in (product.symmetric_contractions for product in network.products)
        ]
        self._weights = [_weight_names(product.symmetric_contractions) for product in network.products]

    def _convolve(self, number: int, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        layer = self._layer(number)
        up = _turned(features, layer.conv_tp.irreps_in1, to_components=True)
        if self._fused:
            message = self._convolutions[number](up, harmonics, weights, edges)
        else:
            single = self._convolutions[number](up.index_select(0, edges[0]), harmonics, weights)
            message = single.new_zeros(up.shape[0], single.shape[1]).index_add(0, edges[1], single)
        return _turned(message, layer.conv_tp.irreps_out, to_components=False)

    def _contract(self, number: int, message: Tensor, attributes: Tensor, species: Tensor) -> Tensor:  # noqa: ARG002
        parameters = dict(self._model.network.products[number].symmetric_contractions.named_parameters())
        weight = torch.cat([parameters[name] for name in self._weights[number]], dim=1)
        return torch.func.functional_call(
            self._contractions[number], {"weight": weight}, (message.transpose(1, 2).flatten(1), species.int())
        )


@functools.cache  # they hold no weights of a model, and take seconds to make
def _convolution(first: Any, second: Any, out: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Return the kernel of a layer's convolution, features x harmonics -> messages, of e3nn's `Irreps`."""
    from mace.modules.wrapper_ops import TensorProduct

    with building(0, dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kernels that a CPU has not
        # As in mace-torch's converter: the fused kernel is of the GPU alone, and knows one order.
        config = _config("ir_mul", fused=device.type == "cuda")
        made: Any = TensorProduct(first, second, out, shared_weights=False, internal_weights=False, cueq_config=config)
    return made.to(device)


@functools.cache
def _contraction(
    irreps: Any, out: Any, correlation: int, elements: int, dtype: torch.dtype, device: torch.device
) -> Any:
    """Return the kernel of a layer's product basis; its own weight is never used."""
    from mace.modules.wrapper_ops import SymmetricContractionWrapper

    with building(0, dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Any = SymmetricContractionWrapper(
            irreps_in=irreps,
            irreps_out=out,
            correlation=correlation,
            num_elements=elements,
            cueq_config=_config("mul_ir", fused=False),
            use_reduced_cg=False,
        )
    return made.to(device)


def _config(layout: str, *, fused: bool) -> Any:
    """Return mace-torch's switch for cuEquivariance."""
    from mace.modules.wrapper_ops import CuEquivarianceConfig

    return CuEquivarianceConfig(enabled=True, layout=layout, group="O3_e3nn", optimize_all=True, conv_fusion=fused)


def _weight_names(contractions: Any) -> list[str]:
    """Return the parameters of a product basis in the order of cuEquivariance's one weight, empty ones left out."""
    return [
        f"contractions.{number}.weights{suffix}"
        for number, own in enumerate(contractions.contractions)
        for suffix in ("_max", *(f".{index}" for index in range(own.correlation - 1)))
        if not bool(getattr(own, f"weights{suffix.replace('.', '_')}_zeroed"))
    ]


def _turned(tensor: Tensor, irreps: Any, *, to_components: bool) -> Tensor:
    """Return (A, dim) features of some irreps with channels innermost (cuEquivariance's order), or back (e3nn's)."""
    parts = []
    for part, (channels, irrep) in zip(irreps.slices(), irreps, strict=True):
        shape = (channels, irrep.dim) if to_components else (irrep.dim, channels)
        parts.append(tensor[:, part].unflatten(1, shape).transpose(1, 2).flatten(1))
    return torch.cat(parts, dim=1)
