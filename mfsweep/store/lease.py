"""Who holds a folder, where several hosts share it: leases with a heartbeat, beside the operating system's locks.

A lock goes with its holder, at once, and is the quick answer. But some network file systems have none, or keep them on
each host alone; there two runs would train one stage twice. So whoever holds a folder also has a lease on it:

    .lease-N        made by O_EXCL, so that of all who want number N one gets it; the highest number holds
    its content     who holds it, and a count of its heartbeats; or that it was given back

A lease that was given back, or that has not changed for a while, may be followed by number N + 1. Unchanged is judged
by the reader's own clock between two of its looks: no clock is ever compared with another host's. A holder that was
stopped for so long finds number N + 1 when it goes on, and leaves the folder to its owner.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, cast

from mfsweep.files import CLAIM, beside, claimed, has_locks, locked

BEAT_SECONDS = 10.0
"""Between two heartbeats."""
DEAD_SECONDS = 90.0
"""After so long without a change a lease is dead. Network file systems may show what is a minute old."""
_NAME = ".lease-"
_NUMBER = re.compile(r"\.lease-(\d{6,})")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Sign(NamedTuple):
    """The highest lease of a folder, as it was read."""

    number: int
    content: bytes

    def _said(self) -> dict[str, object]:
        try:
            said = json.loads(self.content)
        except ValueError:  # half written
            said = None
        return said if isinstance(said, dict) else {}

    @property
    def is_free(self) -> bool:
        """Return whether it was given back."""
        return bool(self._said().get("free"))

    @property
    def is_here(self) -> bool:
        """Return whether its holder is, or was, on this machine since this machine was started."""
        return self._said().get("boot") == _boot()

    @property
    def holder(self) -> str:
        """Return who holds it, as it is said to a person."""
        said = self._said()
        return f"process {said.get('process', '?')} on {said.get('host', 'an unknown host')}"


def read(folder: Path) -> Sign | None:
    """Return the highest lease of a folder; None where there never was one."""
    while numbers := _numbers(folder):
        with contextlib.suppress(FileNotFoundError):  # removed since by who has a higher one: look again
            return Sign(numbers[-1], _path(folder, numbers[-1]).read_bytes())
    return None


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the leases in a folder, in ascending order."""
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(found[1]) for name in names if (found := _NUMBER.fullmatch(name)))


class Lease:
    """A lease that this process holds, from `take` on."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._beats = 0
        self._name = secrets.token_hex(8)

    def beat(self) -> bool:
        """Say that the holder lives; return False where somebody else has taken the folder over.

        Raises:
            OSError: it cannot be written.
        """
        if self.is_lost():
            return False
        self._beats += 1
        self._write(free=False)
        return True

    def is_lost(self) -> bool:
        """Return whether somebody else has taken the folder over."""
        return _numbers(self._folder)[-1:] != [self._number]

    def release(self) -> None:
        """Give it back.

        Raises:
            OSError: it cannot be written.
        """
        if not self.is_lost():
            self._write(free=True)

    def content(self, *, free: bool) -> bytes:
        """Return what stands in the file."""
        said = {"name": self._name, "beats": self._beats, "free": free, "process": os.getpid()}
        return json.dumps(said | {"host": socket.gethostname(), "boot": _boot()}).encode()

    def _write(self, *, free: bool) -> None:
        path = _path(self._folder, self._number)
        temporary = beside(path)
        temporary.write_bytes(self.content(free=free))
        temporary.replace(path)


def take(folder: Path, sign: Sign | None, *, free: bool = False) -> Lease | None:
    """Take the lease that follows one that was given back, or is dead; return None where somebody else was quicker.

    Args:
        folder: what is held.
        sign: the lease that is followed, None: there is none.
        free: give it back in the same moment: the one before is over, and whoever comes next may have it.
    """
    number = sign.number + 1 if sign else 1
    lease = Lease(folder, number)
    try:
        handle = os.open(_path(folder, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    with os.fdopen(handle, "wb") as file:
        file.write(lease.content(free=free))
    numbers = _numbers(folder)
    is_highest = numbers[-1] == number
    for other in numbers[: numbers.index(number)] if is_highest else [number]:  # `sign` may have been an old one
        with contextlib.suppress(FileNotFoundError):
            _path(folder, other).unlink()
    return lease if is_highest else None


class Observer:
    """Tells living leases from dead ones, by looking at them again and again.

    Args:
        clock: seconds that only ever grow, of this process.
        patience: for which an unchanged lease is taken to live.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = DEAD_SECONDS) -> None:
        self._clock = clock
        self._patience = patience
        self._seen: dict[Path, tuple[Sign, float]] = {}

    def is_held(self, folder: Path) -> bool:
        """Return whether somebody holds a folder. A lease that is dead is ended, so that the next one may take it.

        Raises:
            OSError: the system does not let us look.
        """
        if _is_locked(folder):
            return True
        sign = read(folder)
        if _is_over(folder, sign):
            self._seen.pop(folder, None)
            return False
        seen, since = self._seen.get(folder, (None, 0.0))
        if sign != seen or sign is None:
            self._seen[folder] = cast("Sign", sign), self._clock()
            return True
        if self._clock() - since < self._patience:
            return True
        take(folder, sign, free=True)
        return False


class Holding:
    """Whether this process holds a folder; true in a condition if it does.

    Use as a context manager around what it does there: a thread beats meanwhile.
    """

    def __init__(self, lease: Lease | None) -> None:
        self._lease = lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mfsweep-lease", daemon=True)

    def __bool__(self) -> bool:
        return self._lease is not None

    def is_lost(self) -> bool:
        """Return whether somebody else has taken the folder over, as happens to one that was stopped for long."""
        return self._lease is None or self._lease.is_lost()

    def __enter__(self) -> Self:
        """Begin to beat."""
        if self._lease:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back; where that cannot be written, a lock or time frees it."""
        if self._lease:
            self._ended.set()
            self._thread.join()
            with contextlib.suppress(OSError):
                self._lease.release()

    def _beat(self) -> None:
        assert self._lease
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, a file system that is away: the next beat may arrive
                if not self._lease.beat():
                    return


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[Holding]:
    """Hold a folder, which is made where it is missing, against every process on every host.

    What is given is false at once when another process holds it, or may hold it: whether a lease of another host is
    dead only an `Observer` can tell, in time.
    """
    with claimed(folder) as locked_:
        lease = None
        if locked_:
            sign = read(folder)
            if _is_over(folder, sign):
                lease = take(folder, sign)
        with Holding(lease) as held:
            yield held


def is_held(folder: Path) -> bool:
    """Return whether another process holds a folder, or may hold it; nothing is written.

    Raises:
        OSError: the system does not let us look.
    """
    return _is_locked(folder) or not _is_over(folder, read(folder))


def _is_locked(folder: Path) -> bool:
    """Return whether another process has the lock of a folder, as far as the system knows."""
    if not (folder / CLAIM).exists():
        return False
    with locked(folder / CLAIM, wait=False) as free:
        return not free


def _is_over(folder: Path, sign: Sign | None) -> bool:
    """Return whether the lease of a folder whose lock is free is known to be over without waiting for its heartbeat.

    A holder on this machine would have the lock, where there are locks.
    """
    return sign is None or sign.is_free or (sign.is_here and has_locks(folder / CLAIM))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{_NAME}{number:06d}"


@functools.cache
def _boot() -> str:
    """Return what tells this machine, since it was started, from every other."""
    with contextlib.suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return socket.gethostname()
