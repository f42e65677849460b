"""stubs/ says of other packages only what is so: each name is there, and takes the arguments that they name."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

STUBS = Path(__file__).parents[1] / "stubs"
FILES = sorted(path.relative_to(STUBS) for path in STUBS.rglob("*.pyi"))


def _module(file: Path):
    parts = file.with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _members(path: Path) -> Iterator[tuple[str, ast.FunctionDef | None]]:
    """Yield the dotted names that a stub declares, of functions with their signature; `t.ppf` of `t: _OfFreedom`."""
    body = ast.parse(path.read_text()).body
    kinds = {one.name: one for one in body if isinstance(one, ast.ClassDef)}
    for one in body:
        if isinstance(one, ast.FunctionDef):
            yield one.name, one
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            yield one.target.id, None
            kind = kinds.get(ast.unparse(one.annotation))
            yield from ((f"{one.target.id}.{name}", method) for name, method in _methods(kind) if kind)
        elif isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            yield one.name, None
            yield from ((f"{one.name}.{name}", method) for name, method in _methods(one))


def _methods(kind: ast.ClassDef | None) -> Iterator[tuple[str, ast.FunctionDef]]:
    yield from ((one.name, one) for one in (kind.body if kind else ()) if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_what_a_stub_declares_is_there(file):
    module = _module(file)
    for name, declared in _members(STUBS / file):
        real = module
        for step in name.split("."):
            assert hasattr(real, step), f"{module.__name__} has no {name}"
            real = getattr(real, step)
        if declared is None:
            continue
        assert callable(real), name
        try:
            known = inspect.signature(real).parameters
        except ValueError:
            continue  # a ufunc, whose arguments have no names
        own = [one.arg for one in (*declared.args.args, *declared.args.kwonlyargs) if one.arg not in ("self", "cls")]
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
            unknown = set(own) - set(known)
            assert not unknown, f"{module.__name__}.{name} does not take {unknown}"


def test_there_are_stubs_to_be_looked_at():
    assert {Path("scipy/stats.pyi"), Path("yaml/__init__.pyi")} <= set(FILES)
