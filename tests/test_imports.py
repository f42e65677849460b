"""The one-way street of imports, what a plan must not load, and the error tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import mfsweep
from mfsweep import errors

PACKAGE = Path(mfsweep.__file__).parent

# Part -> the parts it may import, besides itself. A part is a module or package right under mfsweep/, or one of its
# rooms that stands lower than the rest of it.
BASE = {"errors", "masking", "quantities", "fingerprint", "files", "imports"}
ALLOWED: dict[str, set[str]] = {
    # What is public, imported when it is asked for.
    "__init__": {"spec", "train", "analysis", "sweep"},
    "__main__": {"cli"},
    "masking": set(),
    "errors": {"masking"},
    "quantities": {"errors"},
    "fingerprint": {"errors"},
    "files": set(),
    "imports": set(),
    "metrics_file": {"files"},
    # What a spec's `model:` may be is the architectures' own; of spec/ they know the base of all its models alone.
    "spec.base": BASE,
    "models": BASE | {"spec.base"},
    "spec": BASE | {"spec.base", "models"},
    "record_shapes": set(),
    "usage_record": {"record_shapes"},
    "records": {"quantities", "record_shapes", "usage_record"},
    "physics_record": {"records", "record_shapes"},
    "report_records": {"records"},
    "passport": BASE,
    "plan": BASE | {"spec", "models"},
    "data": BASE | {"spec"},
    # data: neighbours lie in the store, and are verified with the rest of it.
    "store": BASE | {"metrics_file", "records", "physics_record", "report_records", "usage_record", "spec", "data"},
    # records and store: a trained stage predicts (trained.py).
    "train": BASE | {"metrics_file", "spec", "data", "models", "records", "store", "passport"},
    "physics": BASE | {"spec", "data", "models", "train", "store", "physics_record"},
    # analysis: a passport tells errors with the intervals of their replicates.
    "export": BASE | {"records", "store", "data", "models", "train", "analysis", "passport"},
    # spec: what a spec asks to be drawn.
    "analysis": BASE | {"metrics_file", "records", "physics_record", "report_records", "store", "spec"},
    # models: to name the heads of a model file that stages start from.
    "prepare": BASE | {"spec", "plan", "records", "store", "data", "models"},
    "run": BASE
    | {"metrics_file", "usage_record", "spec", "plan", "records", "store", "data", "models", "train", "prepare"},
    "sweep": BASE
    | {"spec", "plan", "records", "store", "data", "models", "train", "analysis", "prepare", "run"}
    # A public store exports models and checks their physics.
    | {"export", "physics", "passport", "physics_record", "report_records", "usage_record"},
}
ALLOWED["cli"] = set(ALLOWED) - {"__main__", "__init__"}

# Third-party packages that only some parts may know.
RESERVED = {
    "ray": {"run", "cli"},
    "mlflow": {"run"},
    "optuna": {"run"},
    "torch": {"models", "train", "run", "export"},
    "mace": {"models"},
    "e3nn": {"models"},
    "nequip": {"models"},
    "allegro": {"models"},
    "click": {"cli", "__main__"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Return the part of the package that a file belongs to."""
    return _part(path.relative_to(PACKAGE).with_suffix("").parts)


def _part(parts: Sequence[str]) -> str:
    room = ".".join(parts[:2])
    return room if room in ALLOWED else parts[0]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything a file imports, at any depth; `from mfsweep import x` is mfsweep.x."""
    package = ("mfsweep", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "mfsweep":
                yield from ((node.lineno, f"mfsweep.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_imports_go_down_the_street(path):
    part = part_of(path)
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        if top == "mfsweep":
            target = _part(rest.split("."))
            above = target.partition(".")[0]
            if part in (target, above) or target.startswith("__"):
                continue
            assert {target, above} & ALLOWED[part], f"{path.name}:{line}: {part} must not import {name}"
        elif top in RESERVED:
            assert part in RESERVED[top], f"{path.name}:{line}: only {sorted(RESERVED[top])} may import {top}"


def test_the_street_has_no_loop():
    order: list[str] = []
    while len(order) < len(ALLOWED):
        ready = [part for part in ALLOWED if part not in order and ALLOWED[part] <= set(order)]
        assert ready, f"a loop among {sorted(set(ALLOWED) - set(order))}"
        order += ready


def modules_after(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after a statement."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    ["mfsweep.models.registry", "mfsweep.models.versions", "mfsweep.spec.load", "mfsweep.plan.graph", "mfsweep.store"],
)
def test_planning_loads_no_heavy_library(module):
    assert not modules_after(f"import {module}") & {"torch", "ray", "mlflow", "optuna", "mace", "ase", "pandas"}


def test_help_loads_no_heavy_library():
    loaded = modules_after("from mfsweep.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not loaded & {"torch", "ray", "mlflow", "optuna", "mace", "ase", "pandas", "scipy", "matplotlib"}


def test_every_public_error_is_an_mfsweep_error():
    public = [value for name, value in vars(errors).items() if isinstance(value, type) and not name.startswith("_")]
    raised = [value for value in public if issubclass(value, Exception)]
    assert len(raised) > 1
    assert all(issubclass(value, errors.MfsweepError) for value in raised)
