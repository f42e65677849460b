"""Opening HDF5 files so that whatever is wrong with one is a `DataError`, and what both of our layouts check alike.

All that is read lies in the file itself, since its digest stands for it; and the file is not much smaller than it.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue] (compiled, without stubs)

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
        DataError: there is no such file, it is empty, no HDF5, breaks off, is damaged, or has links to other files.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: expected {layout}, got a folder")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes): the download may have failed, get it again")
    try:
        with h5py.File(path, "r") as file:
            _require_own_links(path, file)
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


def _require_own_links(path: Path, file: h5py.File) -> None:
    """Refuse links that leave the file, or lead nowhere."""
    links: list[tuple[bytes | str, int]] = []

    def collect(name: bytes | str, info: h5l.LinkInfo) -> None:
        if info.type != h5l.TYPE_HARD:
            links.append((name, info.type))

    # h5py's own `visititems_links` takes seven times as long: 8 s for the ANI-1x release.
    file.id.links.visit(collect, info=True)
    for name, kind in links:
        if kind != h5l.TYPE_SOFT or not _leads_somewhere(file, name):
            shown = name.decode(errors="replace") if isinstance(name, bytes) else name
            raise DataError(
                f"{path}: {f'/{shown}'!r} is a link to another file, or to nothing: expected everything in this one, "
                "since its digest stands for the data. Copy what the link means into the file (h5py: file.copy with "
                "expand_external=True), or import each file by itself"
            )


def _leads_somewhere(file: h5py.File, name: bytes | str) -> bool:
    try:
        return file[name] is not None
    except (KeyError, OSError, RuntimeError):  # nothing there, or a link to itself
        return False


LARGE = 256 * 1024**2
"""Bytes that any file may declare."""
RATIO = 100
"""Bytes that a file may declare for each of its own: coordinates and forces compress twofold, NaN some thousandfold."""


def require_size(path: Path, what: str, declared: int, file: h5py.File) -> None:
    """Refuse what would take much more memory than its file has bytes, before it is read.

    Args:
        path: the file, for the message.
        what: is so large, for the message.
        declared: its bytes in memory.
        file: where it lies.

    Raises:
        DataError: with both sizes.
    """
    size = file.id.get_filesize()
    if declared > max(LARGE, RATIO * size):
        raise DataError(
            f"{path}: {what} would be {declared / 1024**2:,.0f} MiB, in a file of {size / 1024**2:,.1f} MiB: expected "
            f"at most {RATIO} times the file: no structures compress so well, so that it is damaged or made to fill "
            "the memory. If it is right, write it without compression (h5repack -f NONE IN OUT)"
        )


def require_stored(path: Path, node: h5py.Dataset) -> None:
    """Refuse a dataset that lies elsewhere, that is far larger than its file, or that was not wholly written.

    HDF5 reads zeros in place of what was not written. NaN in its place is meant: no label.

    Raises:
        DataError: naming the dataset.
    """
    if node.is_virtual or node.external:
        raise DataError(
            f"{path}: {node.name!r} is {'a virtual' if node.is_virtual else 'an external'} dataset, whose values lie "
            "in other files: expected them in this one, since its digest stands for the data. Write them into it"
        )
    # A chunk is unpacked whole, and may be larger than what there is of a dataset that can grow.
    largest = max(math.prod(node.shape), math.prod(node.chunks or ())) * node.dtype.itemsize
    require_size(path, repr(node.name), largest, node.file)
    if node.dtype.kind == "f" and np.isnan(node.fillvalue):
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
