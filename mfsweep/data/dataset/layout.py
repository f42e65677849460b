"""What writer and reader of data sets agree on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.fingerprint import canonical

FORMAT = "mfsweep data store"
SCHEMA = 1
"""Raised when a reader of older files would misread new ones."""
LAYOUT = "a data set"
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


@dataclass(frozen=True)
class Spooled:
    """An array in a plain file, of which only the rows asked for come into memory (a map would count them all)."""

    path: Path
    kind: np.dtype
    """Type in the file."""
    shape: tuple[int, ...]
    dtype: np.dtype
    """In which rows are given."""

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Return some rows."""
        start, stop, _ = rows.indices(self.shape[0])
        width = math.prod(self.shape[1:])
        found = np.fromfile(self.path, self.kind, width * (stop - start), offset=start * width * self.kind.itemsize)
        return found.reshape(-1, *self.shape[1:]).astype(self.dtype, copy=False)


Rows = NDArray[Any] | h5py.Dataset | Spooled
"""An array of which rows can be asked for."""


def rows(array: Rows) -> Iterator[NDArray[Any]]:
    """Yield an array in blocks of rows."""
    for start in range(0, array.shape[0], ROWS_AT_ONCE):
        yield array[start : start + ROWS_AT_ONCE]


def write_array(group: h5py.Group, name: str, array: Rows) -> None:
    """Write an array, contiguous and with its digest."""
    kind = array.dtype.newbyteorder("<") if array.dtype != np.bool_ else array.dtype
    dataset = group.create_dataset(name, shape=array.shape, dtype=kind)
    for number, block in enumerate(rows(array)):
        dataset[number * ROWS_AT_ONCE : number * ROWS_AT_ONCE + len(block)] = block
    set_text(dataset, "sha256", hashed(rows(array), array.dtype, array.shape))


def set_text(item: h5py.Group | h5py.Dataset, name: str, value: str) -> None:
    """Write a text of fixed length as an attribute: HDF5's texts of any length can make a damaged file hang."""
    item.attrs[name] = np.bytes_(value.encode())


def text(item: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """Return what `set_text` wrote, None for anything else."""
    found = item.attrs.get(name)
    return found.decode(errors="replace") if isinstance(found, bytes) else None


def write_json(group: h5py.Group, name: str, value: Any) -> None:
    """Write plain data as the bytes of a JSON text, for the reason of `set_text`."""
    write_array(group, name, np.frombuffer(json.dumps(value, sort_keys=True).encode(), np.uint8))


def read_json(group: h5py.Group, name: str) -> Any:
    """Return what `write_json` wrote."""
    return json.loads(np.asarray(array_of(group, name)[()], np.uint8).tobytes())


def group_of(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group of a group.

    Raises:
        KeyError: there is none of that name.
        TypeError: it is no group.
    """
    found = parent[name]
    if not isinstance(found, h5py.Group):
        raise TypeError(f"{parent.name}/{name} is no group")
    return found


def array_of(parent: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array of a group.

    Raises:
        KeyError: there is none of that name.
        TypeError: it is no array.
        ValueError: its values do not lie in one piece in the file.
    """
    found = parent[name]
    if not isinstance(found, h5py.Dataset):
        raise TypeError(f"{parent.name}/{name} is no array")
    # Compressed, it could come to any size; and HDF5 makes up what was never written.
    stored = found.size * found.dtype.itemsize
    if found.is_virtual or found.external or found.chunks is not None or stored > found.file.id.get_filesize():
        raise ValueError(f"{found.name}: expected a contiguous array in the file itself")
    return found


def groups_of(parent: h5py.Group, name: str) -> dict[str, h5py.Group]:
    """Return the groups in a group, none where there is no such."""
    if name not in parent:
        return {}
    own = group_of(parent, name)
    return {below: group_of(own, below) for below in map(str, own)}


def seal(file: h5py.File) -> None:
    """Write what tells a data set from other HDF5 files, and the digest of all that is in it."""
    set_text(file, "format", FORMAT)
    file.attrs["schema"] = SCHEMA
    set_text(file, "sha256", combined({name: str(text(array, "sha256")) for name, array in arrays(file)}))


def arrays(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield all arrays of a file or group with their paths below it."""
    for name in map(str, group):
        if isinstance(item := group[name], h5py.Group):
            yield from ((f"{name}/{below}", array) for below, array in arrays(item))
        else:
            yield name, array_of(group, name)


def combined(digests: Mapping[str, str]) -> str:
    """Return the sha256 of named digests."""
    return hashlib.sha256(canonical(dict(digests)).encode()).hexdigest()


def new_file(path: object) -> h5py.File:
    """Open a file for writing whose arrays can be mapped."""
    return h5py.File(path, "w", libver="latest", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT)
