"""The pairs of a batch as a table: each atom has a row of slots, one for each neighbour and some that stay empty.

With the neighbours of an atom side by side, the sum of its messages is one small matrix product, and no message is
ever written out. What pairs and atoms give to slots, and what gradients of slots give back, are gathers both ways:
every pair stands in two slots, and the slot of an atom's neighbour has its counterpart in the neighbour's own row. So
nothing is added up into a shared place, and sums do not depend on threads or on the device's timing.

Legend: A atoms, N slots of an atom (the most neighbours that one has), S = A N slots, P pairs, F features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


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
        return _FromPairs.apply(values, self)  # pyright: ignore[reportReturnType]

    def of_senders(self, values: Tensor) -> Tensor:
        """Return (S, F): the values (A, F) of the neighbour in each slot."""
        return _FromAtoms.apply(values, self)  # pyright: ignore[reportReturnType]


class _FromPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        if not len(values):
            return values.new_zeros(len(slots.pair), values.shape[1])
        return values.index_select(0, slots.pair)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _ToPairs.apply(*gradients, ctx.slots), None


class _ToPairs(torch.autograd.Function):
    """The transpose of `_FromPairs`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return gradient.index_select(0, slots.first).add_(gradient.index_select(0, slots.second))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _FromPairs.apply(*gradients, ctx.slots), None


class _FromAtoms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return values.index_select(0, slots.sender)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _ToAtoms.apply(*gradients, ctx.slots), None


class _ToAtoms(torch.autograd.Function):
    """The transpose of `_FromAtoms`: the slots that hold an atom are the counterparts of those in its own row."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return gradient.index_select(0, slots.reverse).view(-1, slots.width, gradient.shape[1]).sum(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _FromAtoms.apply(*gradients, ctx.slots), None
