"""Opening HDF5 files so that whatever is wrong with one is a `DataError`, and what both of our layouts check alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py

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
