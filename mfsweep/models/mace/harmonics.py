"""Real spherical harmonics of unit vectors, from the recurrence that couples each order with the vector once more.

    Y_0 = 1,   Y_(l+1) = (2 l + 3) / sqrt(l + 1)  W(l + 1, l, 1) Y_l u

W is the Wigner 3j symbol, which e3nn tabulates. Order and normalisation (`component`: |Y_l|^2 = 2 l + 1) are e3nn's.

Why not e3nn's own function: it is compiled by TorchScript, which runs the first calls of a process by another graph
than the later ones. They round differently, so a resumed training would not end in the bits of one that was not.

Legend: P vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Harmonics(nn.Module):
    """The harmonics of all orders up to one."""

    def __init__(self, highest: int, wigner_3j: Callable[..., Tensor], dtype: torch.dtype) -> None:
        """Tabulate the coupling of each order with the next.

        Args:
            highest: order.
            wigner_3j: e3nn's `o3.wigner_3j`.
            dtype: of the vectors to come.
        """
        super().__init__()
        self._highest = highest
        for order in range(highest):
            scale = (2 * order + 3) / math.sqrt(order + 1)
            coupling = scale * wigner_3j(order + 1, order, 1, dtype=torch.float64)
            # Not in a state: they follow from the order.
            flat = coupling.reshape(2 * order + 3, -1).T.contiguous().to(dtype)
            self.register_buffer(f"_coupling{order}", flat, persistent=False)

    def forward(self, unit: Tensor) -> Tensor:
        """Return the (P, (highest + 1)^2) harmonics of (P, 3) unit vectors, by growing order."""
        found = [unit.new_ones(unit.shape[0], 1)]
        for order in range(self._highest):
            outer = (found[-1].unsqueeze(2) * unit.unsqueeze(1)).flatten(1)
            found.append(outer @ self.get_buffer(f"_coupling{order}"))
        return torch.cat(found, dim=1)
