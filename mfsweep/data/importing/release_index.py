"""The index and the split files of the source study's release (release.py says what is known of them)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.importing.keys import OTHER_NAMES, Units, units_of
from mfsweep.errors import DataError, nearest

INDEX = "metadata.parquet"
_COLUMNS = {
    "formula": "OUS", "conformation_idx": "iu", "method": "OUS", "n_atoms": "iu", "energy": "f", "forces_present": "b",
    "idx": "iu",
}  # fmt: skip
"""Column of the index -> the kinds of NumPy that it may have."""
_KINDS = {"OUS": "texts", "iu": "whole numbers", "f": "numbers", "b": "truth values"}
_UNITS = ("energy_unit", "forces_unit")
_PARTS = {"train": "train", "val": "validation", "test": "test"}
"""How the name of a list in a split file begins -> the part."""


class Row(NamedTuple):
    """One entry, as the index has it."""

    idx: int
    method: str
    atoms: int
    energy: float
    forces: bool


class Index(NamedTuple):
    """The index, sorted by formula, conformation_idx and method: millions of rows, so all are arrays (n,)."""

    formula: NDArray[Any]
    method: NDArray[Any]
    """Both texts."""
    atoms: NDArray[np.int64]
    energy: NDArray[np.float64]
    forces: NDArray[np.bool_]
    idx: NDArray[np.int64]
    starts: NDArray[np.int64]
    """(S + 1,) first row of each structure, and n."""

    def rows(self, structure: int) -> list[Row]:
        """Return the entries of a structure."""
        return [
            Row(
                int(self.idx[at]),
                str(self.method[at]),
                int(self.atoms[at]),
                float(self.energy[at]),
                bool(self.forces[at]),
            )
            for at in range(int(self.starts[structure]), int(self.starts[structure + 1]))
        ]


class ReleaseSplit(NamedTuple):
    """A split file."""

    method: str
    """Whose entries its indices are."""
    indices: NDArray[np.int64]
    """Sorted."""
    parts: list[str]
    """Part of each index."""

    def part_of(self, idx: int) -> str:
        """Return train, validation or test, or nothing."""
        place = int(np.searchsorted(self.indices, idx))
        return self.parts[place] if place < len(self.indices) and self.indices[place] == idx else ""


def read_index(path: Path) -> tuple[Index, Units]:
    """Read the index, and the units that it states.

    Raises:
        DataError: the file cannot be read, lacks a column or a value, or has several units.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{path}: reading it needs the package pyarrow: pip install pyarrow") from error
    try:
        file = parquet.ParquetFile(path)
        there = file.schema_arrow.names
        missing = [name for name in (*_COLUMNS, *_UNITS) if name not in there]
        if missing:
            raise DataError(
                f"{path}: expected the column {missing[0]!r}.{nearest(missing[0], there)} There are: {', '.join(there)}"
            )
        table = file.read(columns=[*_COLUMNS, *_UNITS])
        units = _units(path, {name: table.column(name).unique().to_pylist() for name in _UNITS})
        found = {name: table.column(name) for name in _COLUMNS}
        gap = next((name for name, column in found.items() if column.null_count), None)
        if gap is not None:
            raise DataError(f"{path}: the column {gap!r} has {found[gap].null_count:,} rows without a value")
        columns = {name: column.to_numpy() for name, column in found.items()}
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError) as error:
        raise DataError(f"{path}: expected a Parquet file; it cannot be read as one ({error})") from error
    for name, kinds in _COLUMNS.items():
        if columns[name].dtype.kind not in kinds:
            raise DataError(f"{path}: the column {name!r}: expected {_KINDS[kinds]}, got {columns[name].dtype}")
    if not len(columns["idx"]):
        raise DataError(f"{path}: holds no structures")
    return _sorted(
        path, {name: column.astype(str) if _COLUMNS[name] == "OUS" else column for name, column in columns.items()}
    ), units


def _sorted(path: Path, columns: Mapping[str, NDArray[Any]]) -> Index:
    order = np.lexsort((columns["method"], columns["conformation_idx"], columns["formula"]))
    own = {name: column[order] for name, column in columns.items()}
    same = (own["formula"][1:] == own["formula"][:-1]) & (own["conformation_idx"][1:] == own["conformation_idx"][:-1])
    wrong = same & ((own["method"][1:] == own["method"][:-1]) | (own["n_atoms"][1:] != own["n_atoms"][:-1]))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"{path}: {own['formula'][at]}, conformation {own['conformation_idx'][at]}: expected one row a method, of "
            f"one size, got the entries {own['idx'][at]} and {own['idx'][at + 1]}"
        )
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(order)]]).astype(np.int64)
    return Index(
        formula=own["formula"],
        method=own["method"],
        atoms=own["n_atoms"].astype(np.int64),
        energy=own["energy"].astype(np.float64),
        forces=own["forces_present"].astype(np.bool_),
        idx=own["idx"].astype(np.int64),
        starts=starts,
    )


def _units(path: Path, columns: Mapping[str, Sequence[Any]]) -> Units:
    stated: dict[str, str] = {}
    for name, quantity in zip(_UNITS, ("energy", "forces"), strict=True):
        # A method without forces has no unit of them.
        found = {str(unit) for unit in columns[name] if unit not in (None, "")}
        if len(found) != 1:
            raise DataError(f"{path}: expected one {name} throughout, got {', '.join(sorted(found)) or 'none'}")
        text = found.pop().replace("Å", "Ang")
        for other, known in OTHER_NAMES.items():
            text = f"{text.rpartition('/')[0]}/{known}" if text.endswith(f"/{other}") else text
        stated |= units_of([f"{quantity}={text}"])
    return Units(stated["energy"], stated["forces"], "Ang")


def read_splits(folder: Path, methods: Sequence[str]) -> dict[str, ReleaseSplit]:
    """Return the split files that there are, by name.

    Raises:
        DataError: a file is damaged, or has an index in two parts.
    """
    found: dict[str, ReleaseSplit] = {}
    for path in split_files(folder):
        method = path.name.partition("_train_")[0]
        if method in methods:
            found[path.stem] = _split(path, method)
    return found


def split_files(folder: Path) -> list[Path]:
    """Return the split files of a folder, of whatever methods."""
    return sorted(folder.glob("*_train_*.json"))


def _split(path: Path, method: str) -> ReleaseSplit:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON with lists of indices; it cannot be read ({error})") from error
    parts: dict[int, str] = {}
    for name, indices in content.items() if isinstance(content, dict) else ():
        part = next((own for start, own in _PARTS.items() if name.lower().startswith(start)), None)
        if part is None or not isinstance(indices, list) or not all(type(one) is int for one in indices):
            raise DataError(f"{path}: {name!r}: expected train, validation and test, each a list of indices")
        for index in indices:
            if parts.setdefault(index, part) != part:
                raise DataError(f"{path}: the index {index} is in {parts[index]} and in {part}")
    if not parts:
        raise DataError(f"{path}: expected train, validation and test, each a list of indices, got none")
    ordered = sorted(parts)
    try:
        return ReleaseSplit(method, np.array(ordered, np.int64), [parts[index] for index in ordered])
    except OverflowError as error:
        raise DataError(f"{path}: {ordered[-1]} is no index of an entry") from error
