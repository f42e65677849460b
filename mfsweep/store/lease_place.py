"""Where leases lie, and what can be read of one: in the folder that is held, or elsewhere (remote/leases.py)."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import socket
from pathlib import Path
from typing import NamedTuple, Protocol

from mfsweep.files import CLAIM, beside, has_locks, locked

_NAME = ".lease-"
_NUMBER = re.compile(r"\.lease-(\d{6,})")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


LeftFiles = dict[str, list[int]]
"""Name of a file in a folder -> its size in bytes, and the second of its last change."""


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
        return self._said().get("boot") == boot()

    def says(self, name: str) -> str | None:
        """Return what its holder said beside the heartbeat, None where it said nothing of the kind."""
        found = self._said().get(name)
        return found if isinstance(found, str) else None

    @property
    def left(self) -> LeftFiles | None:
        """Return what its holder left in the folder, None where it said nothing of that."""
        found = self._said().get("left")
        return found if isinstance(found, dict) else None

    @property
    def saw(self) -> bool:
        """Return whether its holder saw the folder as the one before had left it."""
        return self._said().get("saw") is not False

    @property
    def holder(self) -> str:
        """Return who holds it, as it is said to a person."""
        said = self._said()
        return f"process {said.get('process', '?')} on {said.get('host', 'an unknown host')}"


class LeasePlace(Protocol):
    """Where the leases on one thing lie. Equal places are of one thing; whatever fails raises OSError."""

    def numbers(self) -> list[int]:
        """Return the numbers of the leases that are there, in ascending order."""
        ...

    def content(self, number: int) -> bytes:
        """Return what stands in a lease; FileNotFoundError where it has gone."""
        ...

    def create(self, number: int, content: bytes) -> bool:
        """Make a lease; return False where it is there, whoever made it."""
        ...

    def write(self, number: int, content: bytes) -> None:
        """Write a lease anew, in one piece."""
        ...

    def remove(self, number: int) -> None:
        """Remove a lease; one that is gone is no matter."""
        ...

    def holder(self) -> dict[str, str]:
        """Return what is said of a holder beside its process and host."""
        ...

    def is_locked(self) -> bool:
        """Return whether something quicker than a lease says that the thing is held."""
        ...

    def is_over(self, sign: Sign | None) -> bool:
        """Return whether a lease of what is not locked is known to be over without waiting for its heartbeat."""
        ...

    def __hash__(self) -> int: ...


class FolderPlace(NamedTuple):
    """Leases in the folder that they are on."""

    folder: Path

    def numbers(self) -> list[int]:
        """Return the numbers of the leases in the folder, in ascending order."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(found[1]) for name in names if (found := _NUMBER.fullmatch(name)))

    def content(self, number: int) -> bytes:
        """Return what stands in a lease."""
        return self.path(number).read_bytes()

    def create(self, number: int, content: bytes) -> bool:
        """Make a lease; return False where it is there."""
        try:
            handle = os.open(self.path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except OSError:  # a full disk: an empty lease would be taken for one of another host until it is dead
            self.remove(number)
            raise
        return True

    def write(self, number: int, content: bytes) -> None:
        """Write a lease anew."""
        path = self.path(number)
        temporary = beside(path)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self, number: int) -> None:
        """Remove a lease."""
        self.path(number).unlink(missing_ok=True)

    def holder(self) -> dict[str, str]:
        """Return which of this machine's file systems the folder is on: locks are those of one mounted file system."""
        return {"device": str(self.folder.stat().st_dev)}

    def is_locked(self) -> bool:
        """Return whether another process has the lock of the folder, as far as the system knows."""
        if not (self.folder / CLAIM).exists():
            return False
        with locked(self.folder / CLAIM, wait=False) as free:
            return not free

    def is_over(self, sign: Sign | None) -> bool:
        """Return whether a lease is known to be over: given back, or of a holder near, who would have a lock.

        Two containers of one machine may each have mounted the same storage for themselves, and each has locks of its
        own there.
        """
        return sign is None or sign.is_free or (self.is_near(sign) and has_locks(self.folder / CLAIM))

    def is_near(self, sign: Sign) -> bool:
        """Return whether a holder sees the folder as this process does: on this machine, by the same mounted system."""
        return sign.is_here and sign.says("device") == self.holder()["device"]

    def changed(self, number: int) -> float:
        """Return when a lease was written, in seconds by the file system's clock; of one that has gone, 0."""
        with contextlib.suppress(FileNotFoundError):
            return self.path(number).stat().st_mtime
        return 0.0

    def path(self, number: int) -> Path:
        """Return the file of a lease."""
        return self.folder / f"{_NAME}{number:06d}"


@functools.cache
def boot() -> str:
    """Return what tells this machine, since it was started, from every other."""
    with contextlib.suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return socket.gethostname()
