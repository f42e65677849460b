"""SiLU, x sigmoid(x), with first and second derivatives of few operations: force training takes both at every step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def silu(x: Tensor) -> Tensor:
    """Return x sigmoid(x), which can be differentiated twice."""
    return _Silu.apply(x)  # pyright: ignore[reportReturnType]


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Slope.apply(*gradients, *ctx.saved_tensors)  # pyright: ignore[reportReturnType]


class _Slope(torch.autograd.Function):
    """Gradient times s + x s (1 - s), with s = sigmoid(x); s is a function of x, which alone has a derivative here."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        rest = 1 - gate
        slope = torch.addcmul(gate, x * gate, rest)
        ctx.save_for_backward(gradient, x, gate, rest, slope)
        return gradient * slope

    @staticmethod
    @once_differentiable  # a third derivative would lack what the saved tensors owe to x
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (outer,) = gradients
        gradient, x, gate, rest, slope = ctx.saved_tensors
        # d slope / dx = s (1 - s) (2 + x (1 - 2 s)), and 1 - 2 s = (1 - s) - s.
        curvature = (x * (rest - gate)).add_(2.0).mul_(gate).mul_(rest)
        return outer * slope, curvature.mul_(gradient).mul_(outer), None
