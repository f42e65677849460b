"""How a user names a label method to compute: `gfn2-xtb`, `wb97x/6-31g*`, `ase:package.module.Class`.

`parse` turns the name into a `LabellingMethod`: plain data that fixes the labels, so that it is sent to who computes
them, is written beside them, and tells labels of one calculation from those of another.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from mfsweep.data.labellers import ase_calculator, pyscf_methods, xtb
from mfsweep.data.labellers.geometries import Labeller
from mfsweep.data.source import digest
from mfsweep.errors import DataError, nearest
from mfsweep.spec.base import Frozen
from mfsweep.spec.wording import problems

ASE = "ase:"
FORMS = (
    f"{', '.join(xtb.METHODS)}, FUNCTIONAL/BASIS (for example wb97x/6-31g* or ccsd(t)/6-31g*), "
    "ase:package.module.Class, or model:STAGE_KEY"
)
"""For messages."""


class LabellingMethod(NamedTuple):
    """A calculation."""

    kind: Literal["xtb", "pyscf", "ase", "model"]
    """Who computes it."""
    text: str
    """The method as its kind names it, `model:` with the whole key of the stage."""
    options: dict[str, Any]
    """All that may be chosen, defaults too; of an ASE calculator what was given."""
    versions: dict[str, str]
    """Package -> version, of what computes it; `sha256` -> of the source file of a class that is in no package."""

    def identity(self) -> dict[str, Any]:
        """Return plain data: labels of equal identities may stand in one data set."""
        return self._asdict()


def parse(text: str, options: Mapping[str, Any]) -> LabellingMethod:
    """Return the method that a user names.

    Args:
        text: the name, in any case but for an import path.
        options: what the user chooses of it.

    Raises:
        DataError: no such method, an option that it does not have, or a package that is not installed.
    """
    if text.startswith(ASE):
        return _ase(text.removeprefix(ASE), options)
    name = text.strip().lower()
    if name in xtb.METHODS:
        _require("tblite", text)
        return LabellingMethod("xtb", name, _filled(xtb.XtbOptions, options, text), _versions("tblite"))
    if "/" in name:
        _require("pyscf", text)
        functional, _, basis = (part.strip() for part in name.partition("/"))
        pyscf_methods.check(functional, basis)
        filled = _filled(pyscf_methods.PyscfOptions, options, text)
        return LabellingMethod("pyscf", f"{functional}/{basis}", filled, _versions("pyscf"))
    raise DataError(f"--method {text}: expected {FORMS}.{nearest(name, xtb.METHODS)}")


def build(method: LabellingMethod) -> Labeller:
    """Return the labeller of a method of `parse`.

    Raises:
        DataError: it cannot be made on this machine.
    """
    if method.kind == "xtb":
        _require("tblite", method.text)
        return xtb.build(method.text, method.options)
    if method.kind == "pyscf":
        _require("pyscf", method.text)
        functional, _, basis = method.text.partition("/")
        return pyscf_methods.build(functional, basis, method.options)
    assert method.kind == "ase", "who has the store makes the labeller of a model"
    return ase_calculator.build(method.text, method.options)


def default_name(method: LabellingMethod) -> str:
    """Return how labels of a method are called where the user gives no name: gfn2_xtb, wb97x_6-31g*, emt."""
    if method.kind == "pyscf":
        return method.text.replace("/", "_")
    if method.kind == "ase":
        return method.text.rpartition(".")[2].lower()
    return method.text.replace("-", "_")


def read_options(text: str | None) -> dict[str, Any]:
    """Return the options of a command line.

    Raises:
        DataError: it is no JSON object.
    """
    if text is None:
        return {}
    expected = """expected a JSON object, for example --options '{"accuracy": 0.01}'"""
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"--options {text}: {expected}: {error}") from error
    if not isinstance(options, dict):
        raise DataError(f"--options {text}: {expected}")
    return options


def _ase(path: str, options: Mapping[str, Any]) -> LabellingMethod:
    calculator = ase_calculator.check(path, options)
    return LabellingMethod("ase", path, dict(options), _versions("ase") | _code(path.partition(".")[0], calculator))


def _code(package: str, calculator: type[Any]) -> dict[str, str]:
    """Return what tells one code of a calculator from another: its package's version, or its source file's digest."""
    if found := _versions(package) or _versions(*packages_distributions().get(package, ())):
        return found
    with contextlib.suppress(TypeError, OSError):  # a class that is compiled into Python
        return {"sha256": digest(Path(inspect.getfile(calculator)))}
    return {}


def _filled(model: type[Frozen], options: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return options with their defaults."""
    for name in options:
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise DataError(f"--options: {text} has {known}; got {name!r}.{nearest(name, model.model_fields)}")
    try:
        return model.model_validate(dict(options), strict=True).model_dump()
    except ValidationError as error:
        first = problems(error.errors(), model, dict(options))[0]
        raise DataError(f"--options: {first.place[0]}: expected {first.expected}, got {first.got!r}") from error


def _require(package: str, text: str) -> None:
    """Refuse a method whose package is not installed.

    Raises:
        DataError: with the command that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise DataError(
            f"{text} needs {package}, which is not installed here: `pip install {package}`, on every node of a cluster"
        )


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):  # a module of the user's own
            found[package] = version(package)
    return found
