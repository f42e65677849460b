"""A full disk under the store: how it is told, and how long a stage waits for room."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from mfsweep.files import FULL_DISK

_SAID = (*(os.strerror(code) for code in FULL_DISK), "database or disk is full")
"""By which the system says it, and SQLite."""
PROBE_BYTES = 1 << 20
NEEDED_BYTES = 64 << 20
"""Room that must have come back before a stage goes on, beside twice what its checkpoints hold."""


def is_full(folder: Path) -> bool:
    """Return whether nothing more can be written where a folder lies, quotas counted."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as file:
            file.write(b"\0" * PROBE_BYTES)
            file.flush()
    except OSError as error:
        return error.errno in FULL_DISK
    return False


def is_why(error: BaseException) -> bool:
    """Return whether an error, or what led to it, says that a disk or a quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in FULL_DISK or any(said in str(seen) for said in _SAID):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def has_room(folder: Path) -> bool:
    """Return whether a stage whose checkpoints lie in a folder can go on."""
    held = sum(path.stat().st_size for path in folder.glob("*")) if folder.is_dir() else 0
    disk = shutil.disk_usage(_existing(folder))
    # Of a disk that is small in itself, half is as much as can be asked for.
    return disk.free > min(NEEDED_BYTES + 2 * held, disk.total / 2) and not is_full(folder)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())
