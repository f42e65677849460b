"""Reading a data set: its arrays are mapped, so that opening it costs the same whatever its size."""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset.layout import (
    FORMAT,
    LAYOUT,
    SCHEMA,
    array_of,
    arrays,
    combined,
    group_of,
    groups_of,
    hashed,
    read_json,
    rows,
    text,
)
from mfsweep.data.hdf5 import opened, pairs, require_keys
from mfsweep.data.structures import SYMBOLS, Column, Labels, Structures
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys


def is_dataset(path: Path) -> bool:
    """Return whether a file is a data set, whole or not; False for anything else."""
    try:
        with h5py.File(path, "r") as file:
            return text(file, "format") == FORMAT
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return False


def methods(path: Path) -> dict[str, LabelKeys]:
    """Return the label methods of a data set: X -> its keys `X.energy` and, where it has forces, `X.forces`.

    Raises:
        DataError: no data set, or a damaged one.
    """
    return pairs(keys(path))


def keys(path: Path) -> set[str]:
    """Return the names of the labels in a data set.

    Raises:
        DataError: no data set, or a damaged one.
    """
    with opened_dataset(path) as file:
        return set(group_of(file, "labels"))


def provenance(path: Path) -> dict[str, Any]:
    """Return where the structures and labels of a data set come from.

    Raises:
        DataError: no data set, or a damaged one.
    """
    with opened_dataset(path) as file:
        return read_json(file, "provenance")


def read(path: Path, labels: Mapping[str, LabelKeys], absent: Collection[str] | None = None) -> Structures:
    """Map the structures of a data set, with the labels asked for. Hardly anything is read.

    Args:
        path: the data set.
        labels: label method -> names of its datasets.
        absent: of one source among several, the methods that have no labels here, whatever its datasets; then datasets
            that the data set lacks are no error either.

    Returns:
        The structures; their arrays are read-only maps of the file.

    Raises:
        DataError: no data set, a damaged one, or one without such labels.
    """
    with opened_dataset(path) as file:
        # Opened anew, since a map of HDF5's own handle would keep its lock for as long as the arrays live.
        with path.open("rb") as raw:
            if not os.path.sameopenfile(raw.fileno(), file.id.get_vfd_handle()):
                return read(path, labels, absent)  # labels that came in at this moment put another file there
            whole = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        if absent is None:
            require_keys(str(path), set(group_of(file, "labels")), labels)
        geometry, own_labels = group_of(file, "geometry"), group_of(file, "labels")
        offsets = _mapped(whole, geometry, "offsets", np.int64, None)
        structures, atoms = len(offsets) - 1, int(offsets[-1])
        if structures < 1 or offsets[0] != 0 or (np.diff(offsets) < 1).any():
            raise ValueError("geometry/offsets: expected to rise from 0")
        formulae = tuple(read_json(geometry, "formulae"))
        made = Structures(
            offsets=offsets,
            species=_mapped(whole, geometry, "species", np.uint8, (atoms,)),
            positions=_mapped(whole, geometry, "positions", np.floating, (atoms, 3)),
            formula=_mapped(whole, geometry, "formula", np.int32, (structures,)),
            formulae=formulae,
            rank=_mapped(whole, geometry, "rank", np.int32, (structures,)),
            labels={
                method: _labels(whole, own_labels, own, (structures, atoms), method in (absent or ()))
                for method, own in labels.items()
            },
            charge=_mapped(whole, geometry, "charge", np.int16, (structures,)) if "charge" in geometry else None,
            cell=_mapped(whole, geometry, "cell", np.float64, (structures, 3, 3)) if "cell" in geometry else None,
            pbc=_mapped(whole, geometry, "pbc", np.bool_, (structures, 3)) if "pbc" in geometry else None,
            columns={name: _column(whole, column, structures) for name, column in groups_of(file, "columns").items()},
        )
        if made.species.min() < 1 or made.species.max() >= len(SYMBOLS):
            raise ValueError("geometry/species: not atomic numbers")
        _require_codes("geometry/formula", made.formula, len(formulae))
        return made


def digests(path: Path) -> dict[str, str]:
    """Return the sha256 of a data set's parts, after comparing each with what the data set says of it.

    Returns:
        The empty text -> that of the geometry; key of labels -> theirs; `columns/NAME` -> a column's.

    Raises:
        DataError: the content of an array is not what was written, or no data set.
    """
    with opened_dataset(path) as file:
        every = {name: _verified(path, array) for name, array in arrays(file)}
        _require_digest(path, "what is in it", combined(every), file)

        def below(folder: str) -> dict[str, str]:
            return {name.removeprefix(folder): own for name, own in every.items() if name.startswith(folder)}

        columns = {f"columns/{name}": combined(below(f"columns/{name}/")) for name in groups_of(file, "columns")}
        return {"": combined(below("geometry/")), **below("labels/"), **columns}


@contextmanager
def opened_dataset(path: Path) -> Iterator[h5py.File]:
    """Open a data set for reading.

    Raises:
        DataError: another file, one of a newer version, or a damaged one.
    """
    with opened(path, LAYOUT) as file:
        if text(file, "format") != FORMAT:
            raise DataError(
                f"{path}: expected {LAYOUT}, got another HDF5 file: `mfsweep data import {path.name} DATASET` "
                "makes one of a file of the ANI-1x layout"
            )
        if file.attrs.get("schema") != SCHEMA:
            raise DataError(
                f"{path}: expected a data set of schema {SCHEMA}, got {file.attrs.get('schema')}: another version of "
                "mfsweep wrote it. Import it again"
            )
        yield file


def _mapped(
    whole: mmap.mmap, group: h5py.Group, name: str, kind: type[np.generic], shape: tuple[int, ...] | None
) -> NDArray[Any]:
    """Map an array of the file; `shape` None takes a row of any length."""
    dataset = array_of(group, name)
    place = dataset.id.get_offset()
    if not np.issubdtype(dataset.dtype, kind) or (len(dataset.shape) != 1 if shape is None else dataset.shape != shape):
        raise ValueError(f"{dataset.name}: expected {shape} of {kind.__name__}, got {dataset.shape} of {dataset.dtype}")
    if place is None:
        raise ValueError(f"{dataset.name}: expected a contiguous array")
    return np.ndarray(dataset.shape, dataset.dtype, whole, place)


def _labels(whole: mmap.mmap, group: h5py.Group, keys: LabelKeys, shape: tuple[int, int], absent: bool) -> Labels:
    structures, atoms = shape

    def found(key: str, kind: type[np.floating], shape: tuple[int, ...]) -> NDArray[Any]:
        if absent or key not in group:
            return np.broadcast_to(kind("nan"), shape)
        return _mapped(whole, group, key, kind, shape)

    energy = found(keys.energy, np.float64, (structures,))
    return Labels(energy, None if keys.forces is None else found(keys.forces, np.float32, (atoms, 3)))


def _column(whole: mmap.mmap, group: h5py.Group, structures: int) -> Column:
    codes = _mapped(whole, group, "codes", np.int32, (structures,))
    values = tuple(read_json(group, "values"))
    _require_codes(str(group.name), codes, len(values))
    return Column(codes, values)


def _require_codes(name: str, codes: NDArray[np.int32], count: int) -> None:
    if codes.min() < 0 or codes.max() >= count:
        raise ValueError(f"{name}: codes outside of the {count} values")


def _verified(path: Path, dataset: h5py.Dataset) -> str:
    found = hashed(rows(dataset), dataset.dtype, dataset.shape)
    _require_digest(path, str(dataset.name), found, dataset)
    return found


def _require_digest(path: Path, what: str, found: str, stated: h5py.Dataset | h5py.File) -> None:
    expected = str(text(stated, "sha256"))
    if found != expected:
        raise DataError(
            f"{path}: {what} does not have the content that was written (sha256 {found[:12]}..., expected "
            f"{expected[:12]}...): the file is damaged. Copy or import it again"
        )
