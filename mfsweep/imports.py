"""What keeps imports quick: modules that nobody uses are not loaded, and garbage is not looked for meanwhile.

A deferred module is loaded when something first asks it for anything, as by Python's `importlib.util.LazyLoader`, with
two differences: names of which it is known where they come from can be had without loading the module, and where there
are any, what is imported within `deferred` may lie in a package that is not loaded itself. Whoever uses such a module
later, or imports another one of the package, finds all as if it had been loaded at once; a process that never does
saves the time.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_KNOWN_BEFORE = frozenset({"__class__", "__spec__", "__name__", "__package__", "__loader__", "__file__"})
"""What imports ask of a module, and `inspect` of all that there are, in the middle of other imports."""


@contextlib.contextmanager
def deferred(modules: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Defer the loading of modules that are imported within; those that are loaded already stay as they are.

    Args:
        modules: full name -> those of its attributes that can be had without loading it -> the module that they come
            from.
    """
    finder = _Finder(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.is_over = True


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage within.

    Modules are none. Looking through those of PyTorch and Ray again and again takes a sixth of the time that their
    import takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Finder(MetaPathFinder):
    def __init__(self, modules: Mapping[str, Mapping[str, str]]) -> None:
        self._modules = modules
        self.is_over = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self, self._modules[fullname])
        return spec


class _Loader(Loader):
    """Makes a module that is loaded later, by the loader that would have done so at once."""

    def __init__(self, loader: Loader, finder: _Finder, known: Mapping[str, str]) -> None:
        self._loader, self._finder, self._known = loader, finder, known

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None, "it was found by one"
        spec.loader = module.__loader__ = self._loader
        spec.loader_state = _Unloaded(type(module), self._finder, self._known)
        module.__class__ = _Deferred


class _Unloaded:
    """What is needed to load a module."""

    def __init__(self, kind: type[ModuleType], finder: _Finder, known: Mapping[str, str]) -> None:
        self.kind, self.finder, self.known = kind, finder, known
        self.lock = threading.RLock()
        self.is_loading = False


class _Deferred(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        if name in _KNOWN_BEFORE:
            return super().__getattribute__(name)
        spec: Any = super().__getattribute__("__spec__")
        unloaded: _Unloaded = spec.loader_state
        if name == "__path__" and unloaded.known and not unloaded.finder.is_over:
            # What is imported now does not need the package. Of others nobody knows: they may ask it for one another.
            return super().__getattribute__(name)
        if name in unloaded.known:
            return getattr(importlib.import_module(unloaded.known[name]), name)
        with unloaded.lock:  # other threads wait until it is whole
            if type(self) is _Deferred and not unloaded.is_loading:
                unloaded.is_loading = True
                try:
                    spec.loader.exec_module(self)
                finally:
                    unloaded.is_loading = False
                if type(self) is _Deferred:
                    self.__class__ = unloaded.kind  # pyright: ignore[reportAttributeAccessIssue] (it becomes one)
            return super().__getattribute__(name) if unloaded.is_loading else getattr(self, name)
