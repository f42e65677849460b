"""A first spec as a file: a ready one, or one made for a data set (starter.py)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from mfsweep.data.bundles import BUNDLED
from mfsweep.data.source import resolve
from mfsweep.errors import DataError
from mfsweep.spec.ready import ready
from mfsweep.sweep.starter import Start, fitting, look


class FirstSpec(NamedTuple):
    """A first spec that was written."""

    path: Path
    start: Start | None
    """What it was made of; None for a ready spec, which is written as it is."""


def write_first_spec(
    source: str, output: Path | None = None, *, name: str | None = None, target: str | None = None
) -> FirstSpec:
    """Write a first spec, with comments.

    Args:
        source: name of a ready spec, path of a data set or of any file that can be imported, or bundled:NAME.
        output: the file; default: named after the spec, in the working directory.
        name: of the spec; default: that of the file.
        target: label method whose error counts; default: the dearest one by its name.

    Raises:
        DataError: something is at that place already; the source cannot be read, or no spec fits it.
    """
    if (spec := ready().get(source)) and not Path(source).exists():
        output = free(output or Path(spec.name))
        output.write_text(spec.read_text(encoding="utf-8"), encoding="utf-8")
        return FirstSpec(output, None)
    path = resolve(source, Path.cwd())
    name = named(name, path)
    output = free(output or Path(f"{name}.yaml"))
    start = look(path, relative(source, path, output), name, target)
    output.write_text(fitting(start, output), encoding="utf-8")
    return FirstSpec(output, start)


def named(name: str | None, path: Path) -> str:
    """Return the name of a spec: the one that is given, else one after the data's file."""
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "first"
    return name if name[0].isalpha() else f"s-{name}"


def relative(source: str, path: Path, output: Path) -> str:
    """Return what a spec calls its data: as it was named where it is bundled, else its path from the spec."""
    return source if source.startswith(BUNDLED) else os.path.relpath(path, output.absolute().parent)


def free(output: Path) -> Path:
    """Return where the spec is to go.

    Raises:
        DataError: something is there already, or there is no such folder.
    """
    if output.exists():
        raise DataError(f"{output}: is there already: name another file with --output")
    if not output.absolute().parent.is_dir():
        raise DataError(f"{output}: no folder {output.absolute().parent}")
    return output
