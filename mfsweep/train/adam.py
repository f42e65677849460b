"""Adam (arXiv:1412.6980), by PyTorch's fused kernel.

Why no `torch.optim.Adam`: at its first step it imports torch's compiler, which takes longer than a small stage. The
kernel, and so each number, is the same; so is the form of the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Adam:
    """Adam for a few large tensors, each with a learning rate of its own."""

    def __init__(self, tensors: Sequence[Tensor], rates: Sequence[float]) -> None:
        """Start at step 0.

        Args:
            tensors: what is trained, each with its `grad`.
            rates: the learning rate of each.
        """
        self._tensors = list(tensors)
        self.rates = list(rates)
        self._steps = [torch.zeros((), dtype=torch.float32, device=own.device) for own in tensors]
        self._means = [torch.zeros_like(own, requires_grad=False) for own in tensors]
        self._squares = [torch.zeros_like(own, requires_grad=False) for own in tensors]

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the gradients."""
        for own, rate, *moments in zip(self._tensors, self.rates, self._means, self._squares, self._steps, strict=True):
            assert own.grad is not None, "given with it"
            mean, square, step = ([moment] for moment in moments)
            adam(
                [own],
                [own.grad],
                mean,
                square,
                [],
                step,
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=0,
                eps=EPSILON,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state in the form of `torch.optim.Adam`'s: the tensors are no copies."""
        states = zip(self._steps, self._means, self._squares, strict=True)
        return {
            "state": {place: dict(zip(_MOMENTS, state, strict=True)) for place, state in enumerate(states)},
            "param_groups": [
                {"lr": rate, "betas": BETAS, "eps": EPSILON, "params": [place]} for place, rate in enumerate(self.rates)
            ],
        }

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` of this class, or of `torch.optim.Adam`, has returned."""
        self.rates = [group["lr"] for group in content["param_groups"]]
        for place, state in content["state"].items():
            for own, name in zip((self._steps, self._means, self._squares), _MOMENTS, strict=True):
                own[place].copy_(state[name])
