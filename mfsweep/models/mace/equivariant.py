"""e3nn's linear layers and networks on features that are kept component by component.

mace-torch's modules hold the parameters; what is computed is theirs. A feature of order l is an (A, 2l+1, C) tensor
here, where e3nn lays channels outermost: mixing channels is then one matrix product for each order.

Legend: A atoms, C channels, Z elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mfsweep.models.silu import silu


class Mix(nn.Module):
    """e3nn's `o3.Linear`, whose paths are ordered by their output; it has no parameters."""

    def __init__(self, linear: Any, divisor: float = 1.0) -> None:
        """Look up how the layer weighs its paths.

        Args:
            linear: the layer.
            divisor: of the output.
        """
        super().__init__()
        orders = [linear.irreps_out[path.i_out].ir.l for path in linear.instructions]
        self._shapes: list[tuple[int, int]] = []
        """(channels of all paths, output channels) of each order, from 0 on."""
        for order in range(max(orders) + 1):
            shapes = [path.path_shape for path, own in zip(linear.instructions, orders, strict=True) if own == order]
            self._shapes.append((sum(rows for rows, _ in shapes), shapes[0][1]))
        assert orders == sorted(orders)
        self.register_buffer("_scale", _scale(linear, [1 / divisor] * len(orders)), persistent=False)

    def forward(self, weight: Tensor, features: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Return order -> (A, 2l+1, C).

        Args:
            weight: the layer's.
            features: of each order, what it sums: (A, 2l+1, C) each.
        """
        scaled = (weight * self.get_buffer("_scale")).split([math.prod(shape) for shape in self._shapes])
        return [
            (parts[0] if len(parts) == 1 else torch.cat(list(parts), 2)) @ matrix.view(shape)
            for parts, matrix, shape in zip(features, scaled, self._shapes, strict=True)
        ]


class MixByElement(nn.Module):
    """e3nn's fully connected tensor product of features with the atoms' elements: a matrix for each element.

    It has no parameters.
    """

    def __init__(self, product: Any) -> None:
        """Look up how the layer weighs its paths; what it makes of the i-th order is of that order."""
        super().__init__()
        self._shapes = [path.path_shape for path in product.instructions]
        # The 3j symbol of (l, 0, l) is 1 / sqrt(2l+1) on the diagonal.
        symbols = [1 / math.sqrt(product.irreps_in1[path.i_in1].ir.dim) for path in product.instructions]
        self.register_buffer("_scale", _scale(product, symbols), persistent=False)

    def forward(self, weight: Tensor, features: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """Return order -> (A, 2l+1, C), of the orders that the layer makes.

        Args:
            weight: the layer's.
            features: order -> (A, 2l+1, C), the atoms sorted by element.
            counts: (Z,) atoms of each element.
        """
        scaled = (weight * self.get_buffer("_scale")).split([math.prod(shape) for shape in self._shapes])
        made = []
        for feature, matrices, shape in zip(features, scaled, self._shapes, strict=False):
            own = zip(feature.split(list(counts)), matrices.view(shape).unbind(1), strict=True)
            made.append(torch.cat([part @ matrix for part, matrix in own if len(part)]))
        return made


def fully_connected(network: Any, inputs: Tensor) -> Tensor:
    """Return e3nn's `FullyConnectedNet` with SiLU of (N, inputs): (N, outputs).

    The constant by which e3nn multiplies an activation goes into the next layer's matrix.
    """
    *hidden, last = network.children()
    values, constant = inputs, 1.0
    for layer in hidden:
        values = silu(values @ (layer.weight * (constant / math.sqrt(layer.h_in * layer.var_in))))
        constant = layer.act.cst * math.sqrt(layer.var_out)
    return values @ (last.weight * (constant / math.sqrt(last.h_in * last.var_in / last.var_out)))


def _scale(layer: Any, factors: Sequence[float]) -> Tensor:
    """Return what each number of a layer's weight is multiplied by: its path's weight and a factor of ours."""
    scales = [
        torch.full((math.prod(path.path_shape),), path.path_weight * factor, dtype=torch.float64)
        for path, factor in zip(layer.instructions, factors, strict=True)
    ]
    return torch.cat(scales).to(layer.weight.dtype)
