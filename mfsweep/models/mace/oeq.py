"""MACE's convolution by OpenEquivariance, whose kernels are made for the GPU and the layer at hand.

The kernel comes through mace-torch's own switch (`mace.modules.wrapper_ops`) and has no weights of its own. The product
basis stays mace-torch's: that switch leaves it as it is.
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


class OeqMace(Blocks):
    """Computes what a `MacePotential` does, with its parameters."""

    def __init__(self, model: MacePotential) -> None:
        """Make the kernels for a model's layers; the first process of a node compiles the library too.

        Args:
            model: on its device.

        Raises:
            ImportError: OpenEquivariance is not installed, or cannot be compiled here.
        """
        if importlib.util.find_spec("openequivariance") is None:
            raise ImportError("openequivariance is not installed")
        super().__init__(model)
        example = next(model.parameters())
        self._convolutions = [
            _convolution(own.irreps_in1, own.irreps_in2, own.irreps_out, _paths(own), example.dtype, example.device)
            for own in (layer.conv_tp for layer in model.network.interactions)
        ]

    def _convolve(self, number: int, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Tensor) -> Tensor:
        return self._convolutions[number](features, harmonics, weights, edges)


def _paths(product: Any) -> tuple[tuple[int, int, int, str, bool], ...]:
    """Return the paths of e3nn's tensor product as it was asked for them."""
    return tuple(
        (path.i_in1, path.i_in2, path.i_out, path.connection_mode, path.has_weight) for path in product.instructions
    )


@functools.cache  # they hold no weights, and take seconds to make
def _convolution(
    first: Any,
    second: Any,
    out: Any,
    paths: tuple[tuple[int, int, int, str, bool], ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Any:
    """Return the kernel of a layer's convolution, features x harmonics -> messages, of e3nn's `Irreps`."""
    with building(0, dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is compiled now
        from mace.modules.wrapper_ops import OEQConfig, TensorProduct

        config = OEQConfig(enabled=True, optimize_all=True, conv_fusion="atomic")
        if not config.enabled:
            raise ImportError("mace-torch could not import openequivariance")
        options: Any = {"shared_weights": False, "internal_weights": False, "oeq_config": config}
        made: Any = TensorProduct(first, second, out, instructions=list(paths), **options)
    return made.to(device)
