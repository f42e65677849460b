"""The pairs of a batch as a table: each atom has a row of slots, one for each neighbour and some that stay empty.

With the neighbours of an atom side by side, the sum of its messages is one small matrix product, and no message is
ever written out. What pairs and atoms give to slots, and what gradients of slots give back, are gathers both ways:
every pair stands in two slots, and the slot of an atom's neighbour has its counterpart in the neighbour's own row. So
nothing is added up into a shared place, and sums do not depend on threads or on the device's timing.

Legend: A atoms, N slots of an atom (the most neighbours that one has), S = A N slots, P pairs, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

_Linear = Callable[[Tensor], Tensor]


class Slots(NamedTuple):
    """Where each pair stands. What an empty slot holds is never used: its angular part is zero."""

    width: int
    """N."""
    sender: Tensor
    """(S,) the neighbour; 0 in an empty slot."""
    pair: Tensor
    """(S,) the pair; 0 in an empty slot."""
    reverse: Tensor
    """(S,) the slot of the same pair in the neighbour's row; an empty slot's own."""
    first: Tensor
    """(P,) the slot of a pair as it is written."""
    second: Tensor
    """(P,) that of the pair turned round."""

    @classmethod
    def of(cls, edges: Tensor, atoms: int) -> Slots:
        """Return the table of some edges.

        Args:
            edges: (2, 2 P) sender and receiver: every pair once, then in the same order turned round.
            atoms: A.
        """
        sender, receiver = edges
        number, pairs = len(receiver), len(receiver) // 2
        counts = torch.bincount(receiver, minlength=atoms)
        width = max(1, int(counts.max())) if number else 1
        order = torch.argsort(receiver, stable=True)
        row = receiver.index_select(0, order)
        column = torch.arange(number, device=edges.device) - (counts.cumsum(0) - counts).index_select(0, row)
        place = torch.empty_like(order).scatter_(0, order, row * width + column)
        first, second = place[:pairs], place[pairs:]
        every = torch.arange(atoms * width, device=edges.device)
        pair = torch.arange(pairs, device=edges.device).repeat(2)
        return cls(
            width=width,
            sender=torch.zeros_like(every).scatter_(0, place, sender),
            pair=torch.zeros_like(every).scatter_(0, place, pair),
            reverse=every.scatter(0, place, torch.cat([second, first])),
            first=first,
            second=second,
        )

    def signs(self, parity: Tensor) -> Tensor:
        """Return (S, F): 1 where a pair stands as it is written, `parity` (F,) where it is turned round, else 0."""
        signs = parity.new_zeros(len(self.sender), len(parity))
        signs[self.first] = 1
        signs[self.second] = parity
        return signs

    def of_pairs(self, values: Tensor) -> Tensor:
        """Return (S, F): the values (P, F) of the pair in each slot."""
        return _Map.apply(values, self._from_pairs, self._to_pairs)  # pyright: ignore[reportReturnType]

    def of_senders(self, values: Tensor) -> Tensor:
        """Return (S, F): the values (A, F) of the neighbour in each slot."""
        return _Map.apply(values, self._from_atoms, self._to_atoms)  # pyright: ignore[reportReturnType]

    def _from_pairs(self, values: Tensor) -> Tensor:
        if not len(values):
            return values.new_zeros(len(self.pair), values.shape[1])
        return values.index_select(0, self.pair)

    def _to_pairs(self, values: Tensor) -> Tensor:
        return values.index_select(0, self.first).add_(values.index_select(0, self.second))

    def _from_atoms(self, values: Tensor) -> Tensor:
        return values.index_select(0, self.sender)

    def _to_atoms(self, values: Tensor) -> Tensor:
        # The slots that hold an atom are the counterparts of those in its own row.
        return values.index_select(0, self.reverse).view(-1, self.width, values.shape[1]).sum(1)


class _Map(torch.autograd.Function):
    """A linear map whose transpose is known: the gradient of one is the other, however often one differentiates."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, own: _Linear, transpose: _Linear) -> Tensor:
        ctx.maps = own, transpose
        return own(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        own, transpose = ctx.maps
        return _Map.apply(*gradients, transpose, own), None, None
