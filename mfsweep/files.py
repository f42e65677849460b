"""Files that readers meet whole: a temporary file in the same folder, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors by which the system says that there is no more room, of the disk or of a quota."""


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old content or the new, never a part."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path` (with its suffix), flush it to disk, rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it the owner's alone, and a store is shared
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock that a file or folder stands for, which the system gives back when its holder dies.

    On a file system without locks everyone holds it.

    Args:
        path: a folder, or a file, which is made where it is missing.
        wait: until it is free; else yield False at once where another process holds it.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF):
                raise
        yield True
    finally:
        os.close(handle)
