"""Low-rank adapters: a weight matrix W is read as W + scale A B while A and B train (LoRA, arXiv:2106.09685).

Why our own on torch's parametrisations: they change what a module reads as its weight and nothing of the module, so
they fit any architecture's layers. mace-torch's own adapters keep merged weights while gradients are off, and would
validate with old ones once a snapshot is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mfsweep.models.architecture import Lora


class LinearMap(NamedTuple):
    """A module whose parameter `weight` holds one or more matrices, one behind the other in memory."""

    module: nn.Module
    blocks: Sequence[tuple[int, int]]
    """(rows, columns) of each matrix; an equivariant linear map has one for each pair of irreps that it connects."""


class LowRank(nn.Module):
    """Weight -> weight + scale A B, for each of its matrices; zero to begin with, as B is."""

    def __init__(self, weight: Tensor, blocks: Sequence[tuple[int, int]], lora: Lora) -> None:
        super().__init__()
        self._scale = lora.scale
        ranks = [min(lora.rank, *block) for block in blocks]
        # With A's variance 1 / rank, a step of Adam on B moves a weight as far as one on the weight itself would.
        self.down = nn.ParameterList(
            torch.randn(rows, rank).to(weight) / rank**0.5 for (rows, _), rank in zip(blocks, ranks, strict=True)
        )
        self.up = nn.ParameterList(
            weight.new_zeros(rank, columns) for (_, columns), rank in zip(blocks, ranks, strict=True)
        )

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, of the weight's own shape."""
        products = [(down @ up).flatten() for down, up in zip(self.down, self.up, strict=True)]
        return weight + self._scale * torch.cat(products).view_as(weight)


def attach(maps: Sequence[LinearMap], lora: Lora) -> None:
    """Let each map read its weight through new adapters, A drawn from torch's generator."""
    for module, blocks in maps:
        assert isinstance(module.weight, Tensor)
        parametrize.register_parametrization(module, "weight", LowRank(module.weight.detach(), blocks, lora))


def detach(model: nn.Module) -> None:
    """Write each adapted weight into the plain one, and remove the adapters."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def adapters(model: nn.Module) -> list[nn.Parameter]:
    """Return A and B of every adapter."""
    return [factor for module in model.modules() if isinstance(module, LowRank) for factor in module.parameters()]


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the `state_dict()` that the model would have with its adapters merged, leaving it as it is."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        place, _, rest = name.partition(".parametrizations.")
        if rest == "weight.original":
            weight = model.get_submodule(place).weight
            assert isinstance(weight, Tensor)
            state[f"{place}.weight"] = weight.detach()
        elif not rest:
            state[name] = tensor
    return state
