"""Files that readers meet whole: a temporary file in the same folder, flushed to disk, then renamed.

And what becomes of one that is damaged all the same: `sha256` finds it out, `set_aside` gets it out of the way.

Who may read and write them is for the umask and the folder to say (002 and set-group-ID, where a group shares a store):
nothing here narrows it, as Python's tempfile would.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors by which the system says that there is no more room, of the disk or of a quota."""
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Those by which it says that a user may not write there."""


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old content or the new, never a part."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write plain data as `write_text` does.

    Raises:
        ValueError: a number that is not finite, which no reader of JSON would take.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def finite(value: Any) -> Any:
    """Return plain data with None in the place of each number that is not finite, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(own) for name, own in value.items()}
    return [finite(own) for own in value] if isinstance(value, list | tuple) else value


def json_text(value: Any, indent: int | None = 1) -> str:
    """Return plain data as JSON for other programs: null for a number that is not finite."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path` (with its suffix), flush it to disk, rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Return a hidden name beside a path, with its suffix, that no other process uses."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")


def before_of(path: Path) -> Path:
    """Return where the content stays that a file had before it was written last, of a file for which that is kept."""
    return path.with_name(f"{path.name}.before")


def write_hashed(path: Path, write: Callable[[Path], object]) -> str:
    """Write a file as `write_file` does; return the sha256 of its content, 64 hex digits."""
    found = ""

    def filled(temporary: Path) -> None:
        nonlocal found
        write(temporary)
        found = sha256(temporary)

    write_file(path, filled)
    return found


def sha256(path: Path) -> str:
    """Return the sha256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts(path: Path) -> tuple[int, int, int, int]:
    """Return what changes when a file's content does: inode, bytes, and when content and inode were written last, ns.

    Not the device: nodes that share a file system number it each in their own way.
    """
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `NAME.damaged-1`, or the first such name that is free; return it.

    Nothing is deleted. The caller holds the lock of whoever writes there.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    return path.rename(aside)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool, patience: float = math.inf, shared: bool = False) -> Iterator[bool]:
    """Hold the lock that a file or folder stands for, which the system gives back when its holder dies.

    On a file system without locks everyone holds it.

    Args:
        path: a folder, or a file, which is made where it is missing. To be read is enough.
        wait: until it is free; else yield False at once where another process holds it.
        patience: seconds to wait at most, then yield False: whoever holds it may have been stopped, as by Ctrl-Z.
        shared: beside others who share it; nobody then holds it alone.
    """
    handle = _opened(path)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        yield _lock(handle, kind, (time.monotonic() + patience) if wait else 0.0)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int, deadline: float) -> bool:
    """Take the lock of an open file; return whether it was free in time."""
    while True:
        try:
            fcntl.flock(handle, kind | (0 if deadline == math.inf else fcntl.LOCK_NB))
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF):
                raise
            return True
        else:
            return True


def _opened(path: Path) -> int:
    if path.is_dir():
        return os.open(path, os.O_RDONLY)
    try:
        return os.open(path, os.O_RDWR)  # a network file system locks only what may be written
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY)


def has_locks(path: Path) -> bool:
    """Return whether a lock on a file keeps this machine's processes out, as on most file systems."""
    handles = [_opened(path), _opened(path)]
    try:
        for handle in handles:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        for handle in handles:
            os.close(handle)
    return False


_LOOK_SECONDS = 0.1
"""Between two looks at a lock that somebody holds."""
CLAIM = ".claim"
"""Name of the file in a folder that stands for the lock on it."""


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a folder, which is made where it is missing; give False at once when another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / CLAIM, wait=False) as held:
        yield held


def near(path: Path) -> Path:
    """Return a path as one would type it: relative below the working folder, whole elsewhere."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
