"""A data set as a file that other programs read: extxyz, or HDF5 of the ANI-1x layout. Units are said in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfsweep.data import dataset
from mfsweep.data.exporting import ani1x, extxyz
from mfsweep.data.structures import Structures
from mfsweep.errors import DataError, nearest
from mfsweep.files import write_file
from mfsweep.spec.data import LabelKeys

Write = Callable[[Path, Structures], Mapping[str, LabelKeys]]


class _Format(NamedTuple):
    suffixes: tuple[str, ...]
    write: Write
    units: str


FORMATS: dict[str, _Format] = {
    "extxyz": _Format((".xyz", ".extxyz"), extxyz.write, "eV, eV/Ang, Ang"),
    "ani1x": _Format((".h5", ".hdf5", ".hdf"), ani1x.write, "hartree, hartree/Ang, Ang"),
}


class Exported(NamedTuple):
    """What was written."""

    structures: int
    keys: dict[str, LabelKeys]
    """Label method -> its keys in the file."""
    units: str
    """Units of energies, forces and positions."""
    command: str
    """That imports the file again."""


def export(
    source: Path, target: Path, methods: Sequence[str] = (), layout: str | None = None, *, overwrite: bool = False
) -> Exported:
    """Write the structures of a data set, in its order, with some of its labels or all, into a file.

    Args:
        source: the data set.
        target: the file to be.
        methods: label methods that go along. Empty: all.
        layout: a name of `FORMATS`. Default: by the ending of `target`.
        overwrite: whether `target` may exist.

    Raises:
        DataError: no data set, no such method, or structures that the layout cannot hold; nothing is written.
    """
    chosen = FORMATS[layout] if layout else _by_suffix(target)
    if not source.exists():
        raise DataError(f"{source}: no such file")
    if not dataset.is_dataset(source):
        raise DataError(f"{source}: expected a data set, as `mfsweep data import` makes it: import the file first")
    if target.exists() and (target.is_dir() or not overwrite or target.samefile(source)):
        raise DataError(f"{target} exists: give the file another name, or say --overwrite")
    there = dataset.methods(source)
    for name in methods:
        if name not in there:
            known = ", ".join(there) or "none"
            raise DataError(f"{source}: --labels: no label method {name!r}.{nearest(name, there)} There are: {known}")
    structures = dataset.read(source, {name: there[name] for name in methods or there})
    made: dict[str, LabelKeys] = {}
    write_file(target, lambda temporary: made.update(chosen.write(temporary, structures)))
    return Exported(len(structures.sizes), made, chosen.units, _command(target, structures, made))


def _by_suffix(target: Path) -> _Format:
    found = next((one for one in FORMATS.values() if target.suffix.lower() in one.suffixes), None)
    if found is None:
        known = ", ".join(suffix for one in FORMATS.values() for suffix in one.suffixes)
        raise DataError(f"{target}: expected a name that ends in one of {known}, or --layout {' or '.join(FORMATS)}")
    return found


def _command(target: Path, structures: Structures, keys: Mapping[str, LabelKeys]) -> str:
    """Return the command that imports the file again; what a structure lacks is no label there either."""
    told = []
    for name, own in keys.items():
        # A key that no structure has would be refused.
        labels = structures.labels[name]
        if np.isnan(labels.energy).all():
            continue
        forces = f",{own.forces}" if own.forces and labels.forces is not None and _any(labels.forces) else ""
        told.append(f'--labels "{name}={own.energy}{forces}"')
    return " ".join([f"mfsweep data import {target} DATASET", *(told or ["--geometries"])])


def _any(forces: np.ndarray) -> bool:
    return any(not np.isnan(forces[start : start + 100_000]).all() for start in range(0, len(forces), 100_000))
