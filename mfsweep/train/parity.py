"""The gate before a backend trains: on some of the stage's own structures it must give what eager PyTorch gives.

Errors are relative, in the Euclidean norm: of all energies, of all forces, and of the gradient by each parameter. A
parameter whose gradient is next to nothing beside the whole is measured against a thousandth of the whole: what is
left of sums that cancel is rounding in either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from mfsweep.train.step import BatchResult

MadeT = TypeVar("MadeT")

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
"""Precision -> the largest relative error. In float64 an early cuEquivariance did not pass (gradients differed by 2e-8:
some of its constants were kept in float32); 0.13 does."""
TF32_TOLERANCE = 2e-2
"""Against full float32. TF32 keeps 10 bits of each factor, and gradients of forces are products of products."""
_SMALL = 1e-3
"""Part of the whole gradient below which a parameter's own counts as that much."""


def difference(reference: BatchResult, own: BatchResult, names: Sequence[str], tolerance: float) -> str | None:
    """Return in words what differs first, or None.

    Args:
        reference: what eager PyTorch gives, of S structures and A atoms.
        own: what a backend gives of the same batch, filled up or not.
        names: of the (P,) trained parameters.
        tolerance: the largest relative error.
    """
    for what, expected, got, scale in _compared(reference, own, names):
        error = _norm(got - expected) / (scale or 1.0)
        if not error <= tolerance:
            return f"{what} differs by {error:.1e} of its size from eager PyTorch's, more than {tolerance:.0e}"
    return None


def _compared(
    reference: BatchResult, own: BatchResult, names: Sequence[str]
) -> Iterator[tuple[str, Tensor, Tensor, float]]:
    """Yield what is compared, what it must be, what it is, and the size that errors are measured against."""
    yield "the energy", reference.energy, own.energy[: len(reference.energy)], _norm(reference.energy)
    if reference.forces is not None:
        assert own.forces is not None, "asked for"
        yield "the force", reference.forces, own.forces[: len(reference.forces)], _norm(reference.forces)
    yield "the loss", reference.loss, own.loss, _norm(reference.loss)
    norms = [_norm(gradient) for gradient in reference.gradients]
    floor = _SMALL * math.hypot(*norms)
    for name, expected, got, norm in zip(names, reference.gradients, own.gradients, norms, strict=True):
        yield f"the gradient by {name}", expected, got, max(norm, floor)


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.double()))


def in_full_precision(compute: Callable[[], MadeT]) -> MadeT:
    """Compute without TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return compute()
    finally:
        torch.set_float32_matmul_precision(before)
