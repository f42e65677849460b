"""What writer and reader of data stores agree on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.fingerprint import canonical

FORMAT = "mfsweep data store"
SCHEMA = 1
"""Raised when a reader of older files would misread new ones."""
LAYOUT = "a data store"
ALIGNMENT = 64
"""Arrays begin at multiples of this many bytes, so that maps of them are aligned whatever their type."""
ROWS_AT_ONCE = 1_000_000
"""Rows that pass through memory at a time when arrays are written or hashed: tens of MB."""


def hashed(blocks: Iterator[NDArray[Any]], kind: np.dtype, shape: Sequence[int]) -> str:
    """Return the sha256 of an array given in blocks of rows: of its type, shape and little-endian content."""
    digest = hashlib.sha256(json.dumps([kind.newbyteorder("<").str, *shape]).encode())
    for block in blocks:
        digest.update(np.ascontiguousarray(block, kind.newbyteorder("<")).data)
    return digest.hexdigest()


def rows(array: NDArray[Any] | h5py.Dataset) -> Iterator[NDArray[Any]]:
    """Yield an array in blocks of rows."""
    for start in range(0, array.shape[0], ROWS_AT_ONCE):
        yield array[start : start + ROWS_AT_ONCE]


def write_array(group: h5py.Group, name: str, array: NDArray[Any]) -> None:
    """Write an array, which may be a memory map, contiguous and with its digest."""
    kind = array.dtype.newbyteorder("<") if array.dtype != np.bool_ else array.dtype
    dataset = group.create_dataset(name, shape=array.shape, dtype=kind)
    for number, block in enumerate(rows(array)):
        dataset[number * ROWS_AT_ONCE : number * ROWS_AT_ONCE + len(block)] = block
    dataset.attrs["sha256"] = hashed(rows(array), array.dtype, array.shape)


def write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Write texts, with their digest."""
    dataset = group.create_dataset(name, data=np.array(texts, object), dtype=h5py.string_dtype())
    dataset.attrs["sha256"] = hashed_texts(texts)


def hashed_texts(texts: Sequence[str]) -> str:
    """Return the sha256 of texts."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def write_json(group: h5py.Group, name: str, value: Any) -> None:
    """Write plain data as JSON text, with its digest."""
    text = json.dumps(value, sort_keys=True)
    dataset = group.create_dataset(name, data=text, dtype=h5py.string_dtype())
    dataset.attrs["sha256"] = hashed_texts([text])


def read_json(group: h5py.Group, name: str) -> Any:
    """Return what `write_json` wrote."""
    return json.loads(group[name].asstr()[()])


def seal(file: h5py.File) -> None:
    """Write what tells a data store from other HDF5 files, and the digest of all that is in it."""
    file.attrs["format"] = FORMAT
    file.attrs["schema"] = SCHEMA
    file.attrs["sha256"] = combined({name: str(array.attrs["sha256"]) for name, array in arrays(file)})


def arrays(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield all arrays of a file or group with their paths below it."""
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from ((f"{name}/{below}", array) for below, array in arrays(item))
        else:
            yield name, item


def combined(digests: Mapping[str, str]) -> str:
    """Return the sha256 of named digests."""
    return hashlib.sha256(canonical(dict(digests)).encode()).hexdigest()


def new_file(path: object) -> h5py.File:
    """Open a file for writing whose arrays can be mapped."""
    return h5py.File(path, "w", libver="latest", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT)
