"""Read a pickled module as plain data: its tensors, attributes and class names, with none of its code.

Why so: a model file that `torch.save(model)` wrote is a program, and unpickling runs it (`weights_only=False`; a MACE
even needs that, for its traced contractions are stored as source). Here every name in the file that is not known to
be harmless becomes an inert stand-in: a file from anyone can be read, and needs no package that wrote it.
"""

from __future__ import annotations

import builtins
import collections
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2


class StandIn:
    """An object of a class, or the result of a function, that was not looked up; `type(self).__name__` is its name."""

    arguments: tuple[Any, ...]

    def __new__(cls, *arguments: Any, **_: Any) -> StandIn:  # noqa: PYI034 (a class is made for each name)
        """Keep what the class or function would have been called with."""
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def child(self, name: str) -> StandIn | None:
        """Return a submodule, or None."""
        return self.__dict__.get("_modules", {}).get(name)

    def children(self) -> list[StandIn]:
        """Return all submodules, in their order."""
        return [child for child in self.__dict__.get("_modules", {}).values() if isinstance(child, StandIn)]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the object as it was saved."""
        return self.__dict__.get(name, default)

    def tensors(self, kind: str, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, tensor) of the module and all below; `kind` is `_parameters` or `_buffers`."""
        for name, tensor in self.__dict__.get(kind, {}).items():
            if isinstance(tensor, Tensor):
                yield prefix + name, tensor.detach()
        for name, child in self.__dict__.get("_modules", {}).items():
            if isinstance(child, StandIn):
                yield from child.tensors(kind, f"{prefix}{name}.")


def _tensor_of_subclass(make: Callable[..., Tensor], _kind: Any, arguments: tuple[Any, ...], _state: Any) -> Tensor:
    """Stand for `torch._tensor._rebuild_from_type_v2`, without the subclass."""
    return make(*arguments)


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_of_subclass,
    **{
        (module, name): getattr(builtins, name)
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "list", "dict", "int", "float")
    },
    **{("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    **{
        (f"numpy.{core}.multiarray", name): make
        for core in ("core", "_core")
        for name, make in (("scalar", np.float64(0).__reduce__()[0]), ("_reconstruct", np.empty(0).__reduce__()[0]))
    },
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}
"""Names of a file that mean themselves: containers, numbers and tensors, made from data alone."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        return type(name.rpartition(".")[2], (StandIn,), {"__module__": module})


INERT = SimpleNamespace(
    __name__="mfsweep.models.pickled",
    Unpickler=_Unpickler,
    load=lambda file, **kwargs: _Unpickler(file, **kwargs).load(),
)
"""What torch.load takes for the module `pickle`."""
