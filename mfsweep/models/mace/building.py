"""How mace-torch's layers are built quickly: without compilation, and constants that are computed once a process.

A stage builds its model two or three times, so this is most of what a small stage costs beside its steps. The weights
drawn, the constants and what the model computes stay the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from mfsweep.models.mace.importing import importing

with importing():
    import mace.modules.symmetric_contraction as contraction  # before e3nn, whose constants it loads
    from e3nn import get_optimization_defaults, set_optimization_defaults
    from e3nn.math import _normalize_activation as activation
    from e3nn.o3 import _linear as linear


@contextlib.contextmanager
def quickly(*, own_layers: bool) -> Iterator[None]:
    """Build without TorchScript, which takes most of the time and makes no step quicker, and with known constants.

    Args:
        own_layers: whether mfsweep's layers run in place of mace-torch's tensor products; only these need the best
            order of their factors, which takes long to find.
    """
    options = get_optimization_defaults()
    set_optimization_defaults(jit_script_fx=False, optimize_einsums=not own_layers)
    contraction.U_matrix_real, activation.moment, linear._codegen_linear = _couplings, _moment, _linear  # noqa: SLF001
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        set_optimization_defaults(**options)
        contraction.U_matrix_real, activation.moment = _computed_couplings, _computed_moment
        linear._codegen_linear = _computed_linear  # noqa: SLF001


_computed_couplings = contraction.U_matrix_real
_computed_moment = activation.moment
_computed_linear = linear._codegen_linear  # noqa: SLF001

_moment: Callable[..., Tensor] = functools.lru_cache(maxsize=16)(_computed_moment)
"""Second moment of an activation function over a million draws of a generator of its own."""


def _couplings(**arguments: Any) -> list[Any]:
    """Return the generalised Clebsch-Gordan coefficients, copied: a model file may bring others into their place."""
    found = _cached_couplings(torch.get_default_dtype(), **arguments)
    return [item.clone() if isinstance(item, Tensor) else item for item in found]


@functools.lru_cache(maxsize=64)
def _cached_couplings(_default: torch.dtype, **arguments: Any) -> list[Any]:
    return _computed_couplings(**arguments)


def _linear(
    irreps_in: Any,
    irreps_out: Any,
    instructions: list[Any],
    f_in: int | None,
    f_out: int | None,
    *,
    shared_weights: bool,
    optimize_einsums: bool,  # noqa: ARG001 (of tensor products; these layers do run)
) -> Any:
    """Return the code of a linear layer, which has no state: all layers of one shape share it."""
    default = torch.get_default_dtype()
    return _cached_linear(default, irreps_in, irreps_out, tuple(instructions), f_in, f_out, shared=shared_weights)


@functools.lru_cache(maxsize=256)
def _cached_linear(
    _default: torch.dtype,
    irreps_in: Any,
    irreps_out: Any,
    instructions: tuple[Any, ...],
    f_in: int | None,
    f_out: int | None,
    *,
    shared: bool,
) -> Any:
    return _computed_linear(
        irreps_in, irreps_out, list(instructions), f_in, f_out, shared_weights=shared, optimize_einsums=True
    )
