"""The MLP readouts of MACE's last layer, one per head: mace-torch's own block, or a block whose heads differ in width.

Legend: A atoms, C channels, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from e3nn.nn import FullyConnectedNet  # network.py alone imports this module: mace-torch must come before e3nn
from torch import Tensor, nn

from mfsweep.models.mace.equivariant import fully_connected
from mfsweep.models.silu import silu


class HeadMLPs(nn.Module):
    """One MLP for each head, with hidden widths of its own; it is called as mace-torch's readouts are.

    A head's function and its initial scale are those of mace-torch's readout in a model of this head alone.
    """

    def __init__(self, channels: int, widths: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            FullyConnectedNet([channels, *hidden, 1], nn.functional.silu, out_act=False) for hidden in widths
        )

    def forward(self, features: Tensor, heads: Tensor | None = None) -> Tensor:  # noqa: ARG002 (mace's signature)
        """Return the (A, H) energies of (A, C) features by every head, eV."""
        return torch.cat([head(features) for head in self.heads], dim=-1)


def head_energies(readout: Any, scalars: Tensor, column: int) -> Tensor:
    """Return the (A,) energies of (A, C) invariant features by one head of any of MACE's readouts, eV.

    mace-torch's own forward computes all heads and hides the others by a mask, which no CUDA graph can hold.

    Args:
        readout: `HeadMLPs`, or mace-torch's linear or nonlinear block.
        scalars: the features.
        column: the head's place among the model's.
    """
    if isinstance(readout, HeadMLPs):
        return fully_connected(readout.heads[column], scalars)[:, 0]
    if not hasattr(readout, "linear_1"):
        (path,) = readout.linear.instructions
        return scalars @ (readout.linear.weight.view(path.path_shape)[:, column] * path.path_weight)
    first, second = readout.linear_1, readout.linear_2
    weights = {"linear_1.weight": first.weight, "linear_2.weight": second.weight}
    inward, outward = matrices(weights, column, readout.num_heads)
    hidden = silu(scalars @ (inward * first.instructions[0].path_weight))
    constant = readout.non_linearity.acts[0].cst * second.instructions[0].path_weight
    return (hidden @ (outward * constant))[:, 0]


def matrices(block: Mapping[str, Tensor], column: int, heads: int) -> list[Tensor]:
    """Return views of one head's matrices, (C, h1), (h1, h2) ... (hn, 1), in either kind of block.

    mace-torch's holds those of all heads in two tensors, and divides by sqrt(heads x hidden) before the output where
    `HeadMLPs` divides by sqrt(hidden).

    Args:
        block: parameter names within the block -> tensors.
        column: the head's place among the model's.
        heads: how many the model has.
    """
    if not is_shared(block):
        depth = sum(name.startswith(f"heads.{column}.") for name in block)
        return [block[f"heads.{column}.layer{layer}.weight"] for layer in range(depth)]
    outward = block["linear_2.weight"].view(heads, -1, heads)
    inward = block["linear_1.weight"].view(-1, heads, outward.shape[1])
    return [inward[:, column], outward[column, :, column].unsqueeze(-1)]


def is_shared(block: Mapping[str, Tensor]) -> bool:
    """Return whether it is mace-torch's own block."""
    return "linear_1.weight" in block


def copy_head(
    own: Mapping[str, Tensor], column: int, heads: int, theirs: Mapping[str, Tensor], source: int, sources: int
) -> None:
    """Copy a head's MLP from one block into another, so that its function is kept.

    Args:
        own: the block to write, parameter names within it -> tensors.
        column: the head's place in it.
        heads: how many heads it has.
        theirs: the block to read.
        source: the head's place in that.
        sources: how many heads that has.
    """
    mine = matrices(own, column, heads)
    for matrix, other in zip(mine, matrices(theirs, source, sources), strict=True):
        matrix.copy_(other)
    divided = (heads if is_shared(own) else 1) / (sources if is_shared(theirs) else 1)
    mine[-1].mul_(divided**0.5)
