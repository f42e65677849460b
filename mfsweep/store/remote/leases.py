"""Leases in an object storage: made by conditional puts, and else as those in folders are (lease.py)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mfsweep.files import has_locks, locked
from mfsweep.store.lease_place import Sign
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.urls import identity

_FOLDER = "runs"


class HolderHere(NamedTuple):
    """A process that holds leases, as others that use the same working copy can tell whether it lives."""

    copy: Path
    """The working copy."""
    identity: str
    """What tells it from every other, also from one at the same path in another container."""
    name: str
    """Name of the file in it whose lock the process has as long as it lives."""

    @property
    def lock(self) -> Path:
        """Return the file whose lock the process has."""
        return self.copy / _FOLDER / self.name


@contextlib.contextmanager
def holder_here(copy: Path, name: str) -> Iterator[HolderHere]:
    """Give this process a name by which its leases are known as long as it lives."""
    here = HolderHere(copy, identity(copy), name)
    here.lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(here.lock, wait=False):
        try:
            yield here
        finally:
            here.lock.unlink(missing_ok=True)


class ObjectPlace(NamedTuple):
    """The leases on one stage of a store."""

    objects: Objects
    key: str
    here: HolderHere | None = None
    """Who takes them; None: who only looks."""

    def numbers(self) -> list[int]:
        """Return the numbers of the leases, in ascending order."""
        names = (name.rpartition("/")[2] for name in self.objects.names(f"leases/{self.key}"))
        return sorted(int(name) for name in names if name.isdigit())

    def content(self, number: int) -> bytes:
        """Return what stands in a lease."""
        return self.objects.get(self._name(number))

    def create(self, number: int, content: bytes) -> bool:
        """Make a lease; return False where it is there."""
        return self.objects.create(self._name(number), content)

    def write(self, number: int, content: bytes) -> None:
        """Write a lease anew."""
        self.objects.put(self._name(number), content)

    def remove(self, number: int) -> None:
        """Remove a lease."""
        self.objects.remove(self._name(number))

    def holder(self) -> dict[str, str]:
        """Return by what the holder is known on its own machine."""
        return {"copy": self.here.identity, "run": self.here.name} if self.here else {}

    def is_locked(self) -> bool:
        """Return False: there are no locks in a storage."""
        return False

    def is_over(self, sign: Sign | None) -> bool:
        """Return whether a lease is known to be over: given back, or of a process on this machine that has died."""
        return sign is None or sign.is_free or (sign.is_here and self._has_died(sign))

    def _has_died(self, sign: Sign) -> bool:
        """Return whether a holder that used our working copy on this machine has its lock no more."""
        name = sign.says("run")
        if self.here is None or not name or not name.isalnum() or sign.says("copy") != self.here.identity:
            return False
        lock = self.here._replace(name=name).lock
        if not lock.exists():  # it has ended, in whatever way
            return True
        with contextlib.suppress(OSError), locked(lock, wait=False) as free:
            return free and _can_tell(lock.parent)
        return False

    def _name(self, number: int) -> str:
        return f"leases/{self.key}/{number:06d}"


def _can_tell(folder: Path) -> bool:
    probe = folder / f"probe{os.getpid()}"
    try:
        return has_locks(probe)
    finally:
        probe.unlink(missing_ok=True)
