"""An LMDB of a stranger: opened to be read alone, and only where it is as long as it says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mfsweep.errors import DataError


@contextlib.contextmanager
def transaction(path: Path) -> Iterator[Any]:
    """Give a transaction that reads an LMDB, which is never written and never locked.

    Raises:
        DataError: it cannot be opened, or is shorter than it says: LMDB maps its file and trusts it.
    """
    try:
        import lmdb
    except ImportError as error:
        raise DataError(f"{path}: reading it needs the package lmdb: pip install lmdb") from error
    try:
        environment = lmdb.open(
            os.fspath(path), readonly=True, lock=False, subdir=path.is_dir(), readahead=False, create=False
        )
    except (lmdb.Error, OSError) as error:
        raise DataError(f"{path}: expected an LMDB database; it cannot be opened ({error})") from error
    with environment:
        pages = environment.info()["last_pgno"] + 1
        needed, there = pages * environment.stat()["psize"], main_file(path).stat().st_size
        if there < needed:
            raise DataError(
                f"{path}: is cut short: {there:,} bytes, expected {needed:,}: the download may have failed, get it anew"
            )
        with environment.begin(buffers=True) as open_transaction:
            yield open_transaction


def width(path: Path, transaction: Any) -> int:
    """Return how many digits a key has at least.

    Raises:
        DataError: the keys are no numbers.
    """
    cursor = transaction.cursor()
    key = bytes(cursor.key()) if cursor.first() else b""
    if not key.isdigit():
        raise DataError(f"{path}: expected the numbers of entries as keys, got {key[:20]!r}")
    return len(key) if key.startswith(b"0") else 0


def main_file(path: Path) -> Path:
    """Return the file whose bytes stand for a source: of a folder with an LMDB that one's."""
    for inner in ("data.lmdb", "data.mdb"):
        path = path / inner if path.is_dir() and (path / inner).exists() else path
    return path
