"""Opening HDF5 files so that whatever is wrong with one is a `DataError`, and what both of our layouts check alike."""

from __future__ import annotations

import math
import mmap
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

_CORRUPT = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
    NotImplementedError,
)
"""What h5py was seen to raise on files with damaged bytes, in the place of the damage."""


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """Open a file for reading; what the body raises for damaged content becomes a DataError too.

    Args:
        path: the file.
        layout: what it should be, for messages: `an HDF5 file of the ANI-1x layout`.

    Raises:
        DataError: there is no such file, it is empty, no HDF5, breaks off, or is damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: expected {layout}, got a folder")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes): the download may have failed, get it again")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _CORRUPT as error:
        what = str(error) or type(error).__name__
        raise DataError(
            f"{path}: expected {layout}; it cannot be read as one ({what}). "
            "A download that broke off looks like this: compare its size and hash with the publisher's."
        ) from error


def require_keys(place: str, present: Collection[str], labels: Mapping[str, LabelKeys]) -> None:
    """Refuse label keys that a file does not have.

    Args:
        place: name of the file or files, for the message.
        present: the keys that there are.
        labels: label method -> its keys.

    Raises:
        DataError: with the nearest key and all that there are.
    """
    for method, keys in labels.items():
        for part, key in (("energy", keys.energy), ("forces", keys.forces)):
            if key is not None and key not in present:
                known = sorted(present)
                raise DataError(
                    f"{place}: no group has the key {key!r} (data.labels.{method}.{part})."
                    f"{nearest(key, known)} There are {', '.join(known) or 'no labels'}"
                )


def pairs(keys: Collection[str]) -> dict[str, LabelKeys]:
    """Return the label methods of keys that come in pairs: X -> `X.energy` and, where it is there, `X.forces`."""
    names = sorted(key.removesuffix(".energy") for key in keys if key.endswith(".energy") and key != ".energy")
    return {
        name: LabelKeys(energy=f"{name}.energy", forces=f"{name}.forces" if f"{name}.forces" in keys else None)
        for name in names
    }


def require_written(path: Path, node: h5py.Dataset) -> None:
    """Refuse a dataset that was made but not wholly written: HDF5 reads zeros in its place.

    NaN in its place is meant: no label.

    Raises:
        DataError: naming the dataset.
    """
    if node.is_virtual or node.external or (node.dtype.kind == "f" and np.isnan(node.fillvalue)):
        return
    if node.chunks is None:
        whole = not node.size or node.id.get_storage_size() > 0
    else:
        expected = math.prod(-(-length // chunk) for length, chunk in zip(node.shape, node.chunks, strict=True))
        whole = node.id.get_num_chunks() >= expected
    if not whole:
        raise DataError(
            f"{path}: {node.name!r} was made but not wholly written: the program that wrote it was perhaps stopped. "
            "Write the file again"
        )


_HEAP = b"GCOL\x01\x00\x00\x00"
"""A global heap collection, where HDF5 keeps texts, begins so."""


def require_sound_texts(path: Path) -> None:
    """Refuse a file whose texts are damaged in the place where the HDF5 library would go round in circles for ever.

    It follows the chain of objects of each global heap collection by their sizes, and stays where one is zero. The
    format is laid down in the HDF5 File Format Specification, section III.E.

    Raises:
        DataError: naming the place.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            if not _sound_heap(content, start):
                raise DataError(
                    f"{path}: the texts at byte {start} are damaged. "
                    "Compare the file's size and hash with the publisher's"
                )
            start = content.find(_HEAP, start + len(_HEAP))


def _sound_heap(content: mmap.mmap, start: int) -> bool:
    """Return whether the chain of a global heap collection goes on to its end."""
    header = 16
    if start + header > len(content):
        return False
    end = start + int.from_bytes(content[start + 8 : start + header], "little")
    if end > len(content):
        return False
    place = start + header
    while place + header <= end:
        index = int.from_bytes(content[place : place + 2], "little")
        size = int.from_bytes(content[place + 8 : place + header], "little")
        # The free space at the end, index 0, counts its own header; objects are padded to eight bytes.
        step = header + -(-size // 8) * 8 if index else size
        if not header <= step <= end - place:
            return False
        place += step
    return True
