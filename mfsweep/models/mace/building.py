"""How mace-torch's layers are built quickly: without compilation, and constants that are computed once a process.

A stage builds its model two or three times, so this is most of what a small stage costs beside its steps. The weights
drawn, the constants and what the model computes stay the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    # At import, mace-torch 0.3 and e3nn 0.4 use torch.jit.script and a bare torch.load, and print that cuequivariance
    # is not installed: nothing that a user should act on.
    warnings.simplefilter("ignore")
    import mace.modules.symmetric_contraction as contraction  # before e3nn, whose constants it loads
    from e3nn import get_optimization_defaults, set_optimization_defaults
    from e3nn.math import _normalize_activation as activation


@contextlib.contextmanager
def quickly(*, own_layers: bool) -> Iterator[None]:
    """Build without TorchScript, which takes most of the time and makes no step quicker, and with known constants.

    Args:
        own_layers: whether mfsweep's layers run in place of mace-torch's; only these need the best order of their
            products, which takes long to find.
    """
    options, constants = get_optimization_defaults(), (contraction.U_matrix_real, activation.moment)
    set_optimization_defaults(jit_script_fx=False, optimize_einsums=not own_layers)
    contraction.U_matrix_real, activation.moment = _couplings, _moment
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        set_optimization_defaults(**options)
        contraction.U_matrix_real, activation.moment = constants


_moment: Callable[..., Tensor] = functools.lru_cache(maxsize=16)(activation.moment)
"""Second moment of an activation function over a million draws of a generator of its own."""


def _couplings(**arguments: Any) -> list[Any]:
    """Return the generalised Clebsch-Gordan coefficients, copied: a model file may bring others into their place."""
    found = _cached_couplings(torch.get_default_dtype(), **arguments)
    return [item.clone() if isinstance(item, Tensor) else item for item in found]


@functools.lru_cache(maxsize=64)
def _cached_couplings(_default: torch.dtype, **arguments: Any) -> list[Any]:
    return _computed_couplings(**arguments)


_computed_couplings = contraction.U_matrix_real
