"""Nothing outside of models/ names an architecture: who adds one touches its own file and the registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mfsweep
from mfsweep.models.registry import ARCHITECTURES

PACKAGE = Path(mfsweep.__file__).parent
_FILES = "the files of MACE's own tools are a layout of data, whatever learns from them"
_LOADED = "a file format is called after the program that loads it"
EXCEPTIONS = {
    "cli/data/importing.py": _FILES,
    "data/importing/ase_files.py": _FILES,
    "data/importing/layouts.py": _FILES,
    "data/importing/mace_files.py": _FILES,
    "cli/export.py": _LOADED,
    "export/formats.py": _LOADED,
}
"""File -> why it may say such a name."""
NAMES = re.compile(
    "|".join(rf"(?:(?<![a-z]){name}|{name.capitalize()})(?![a-z])|{name.upper()}" for name in ARCHITECTURES)
)
OUTSIDE = sorted(path for path in PACKAGE.rglob("*.py") if "models" not in path.relative_to(PACKAGE).parts)


def naming(path: Path) -> list[str]:
    """Return the lines of a file, comments and docstrings too, that say an architecture's name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [f"{path}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if NAMES.search(line)]


@pytest.mark.parametrize(
    "name", ["mace", "MacePotential", "CueqMace", 'kind == "allegro"', "PINS['mace']", "of MACE's"]
)
def test_a_name_is_found_in_code_and_prose(name):
    assert NAMES.search(name)


def test_nothing_outside_of_models_names_an_architecture():
    found = [line for path in OUTSIDE if str(path.relative_to(PACKAGE)) not in EXCEPTIONS for line in naming(path)]
    assert not found, "\n".join(found)


def test_every_exception_is_one():
    assert all(naming(PACKAGE / path) for path in EXCEPTIONS)
