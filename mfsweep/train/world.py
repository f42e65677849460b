"""The ranks that train one stage together: what a training needs of torch.distributed, whoever started them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed
from torch import Tensor


class World(NamedTuple):
    """This process among those of the training; the default process group is up where `size` > 1 (gloo or nccl)."""

    rank: int
    size: int
    device: torch.device
    enter: Callable[[], object] = lambda: None
    """Called before each collective: how whoever watches the ranks knows which of them the others wait for."""
    is_leaving: Callable[[], bool] = lambda: False
    """Whether this rank's machine is about to go: then the training saves its state and ends here."""
    is_lost: Callable[[], bool] = lambda: False
    """Whether another run has taken the training over; rank 0 asks before it writes, and then writes no more."""

    @classmethod
    def alone(cls, device: str | torch.device = "cpu") -> World:
        """Return the world of one process."""
        return cls(0, 1, torch.device(device))

    def sum_(self, tensor: Tensor) -> None:
        """Replace a tensor on this rank's device by its sum over all ranks, the same bits on each."""
        if self.size > 1:
            self.enter()
            torch.distributed.all_reduce(tensor)

    def share_(self, tensor: Tensor) -> None:
        """Replace a tensor on this rank's device by rank 0's."""
        if self.size > 1:
            self.enter()
            torch.distributed.broadcast(tensor, src=0)

    def agree(self, *, flag: bool) -> bool:
        """Return rank 0's flag; the other ranks' are ignored."""
        return bool(self.follow(int(flag)))

    def follow(self, number: int) -> int:
        """Return rank 0's whole number; the other ranks' are ignored."""
        if self.size == 1:
            return number
        tensor = torch.tensor([number], device=self.device)
        self.share_(tensor)
        return int(tensor.item())
