"""Who holds a folder, where several hosts share it: leases with a heartbeat, beside the operating system's locks.

A lock goes with its holder, at once, and is the quick answer. But some network file systems have none, or keep them on
each host alone; there two runs would train one stage twice. So whoever holds a folder also has a lease on it:

    .lease-N        made by O_EXCL, so that of all who want number N one gets it; the highest number holds
    its content     who holds it, and a count of its heartbeats; or that it was given back

A lease that was given back, or that has not changed for a while, may be followed by number N + 1. Unchanged is judged
by the reader's own clock between its looks: no clock is ever compared with another host's. Of the time between two of
them little counts: while a reader could not look, the holder could perhaps not beat. A holder that was stopped for so
long finds number N + 1 when it goes on, and leaves the folder to its owner.

A network file system may show a host for a minute what another one has changed since. So who gives a lease back says
what files it leaves, and who follows from elsewhere to go on with them waits until it sees them so. As long as it does
not, its own lease says what was left.

All that asks of where leases lie is that of several who make one number one succeeds. So they may lie in an object
storage as well (remote/leases.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from mfsweep.files import claimed
from mfsweep.store.lease_place import FolderPlace, LeasePlace, LeftFiles, Sign, boot

BEAT_SECONDS = 10.0
"""Between two heartbeats."""
DEAD_SECONDS = 90.0
"""After so long without a change a lease is dead. Network file systems may show what is a minute old."""
_LATELY_SECONDS = 2 * DEAD_SECONDS
"""What was left longer ago is seen everywhere as it is, also in a store that was copied since with its times."""
LONGEST_LOOK = 2 * BEAT_SECONDS
"""Seconds that count between two looks, at most."""
LOOK_SECONDS = 3.0
"""Between two looks at leases that are watched."""


def _place(where: Path | LeasePlace) -> LeasePlace:
    return FolderPlace(where) if isinstance(where, Path) else where


def read(where: Path | LeasePlace) -> Sign | None:
    """Return the highest lease of a folder, or of another place; None where there never was one."""
    place = _place(where)
    while numbers := place.numbers():
        with contextlib.suppress(FileNotFoundError):  # removed since by who has a higher one: look again
            return Sign(numbers[-1], place.content(numbers[-1]))
    return None


class Lease:
    """A lease that this process holds, from `take` on."""

    def __init__(self, where: Path | LeasePlace, number: int) -> None:
        self._place = _place(where)
        self.number = number
        self._beats = 0
        self._name = secrets.token_hex(8)
        self.unseen: LeftFiles | None = None
        """What the one before has left, as long as it is not seen so."""

    def beat(self) -> bool:
        """Say that the holder lives; return False where somebody else has taken the folder over.

        Raises:
            OSError: it cannot be written.
        """
        if self.is_lost():
            return False
        self._beats += 1
        self._place.write(self.number, self.content(free=False))
        return True

    def is_lost(self) -> bool:
        """Return whether somebody else has taken the folder over."""
        return self._place.numbers()[-1:] != [self.number]

    def release(self, left: LeftFiles | None = None) -> None:
        """Give it back, and say what is left in the folder.

        Raises:
            OSError: it cannot be written.
        """
        if not self.is_lost():
            self._place.write(self.number, self.content(free=True, left=left))

    def content(self, *, free: bool, left: LeftFiles | None = None) -> bytes:
        """Return what stands in the file."""
        said = {"name": self._name, "beats": self._beats, "free": free, "process": os.getpid()}
        said |= {"left": left if self.unseen is None else self.unseen, "saw": self.unseen is None}
        said |= {"host": socket.gethostname(), "boot": boot(), **self._place.holder()}
        return json.dumps(said).encode()


def take(where: Path | LeasePlace, sign: Sign | None, *, free: bool = False) -> Lease | None:
    """Take the lease that follows one that was given back, or is dead; return None where somebody else was quicker.

    Args:
        where: what is held.
        sign: the lease that is followed, None: there is none.
        free: give it back in the same moment: the one before is over, and whoever comes next may have it.
    """
    place = _place(where)
    number = sign.number + 1 if sign else 1
    lease = Lease(place, number)
    if not place.create(number, lease.content(free=free)):
        return None
    numbers = place.numbers()
    is_highest = numbers[-1] == number
    for other in numbers[: numbers.index(number)] if is_highest else [number]:  # `sign` may have been an old one
        place.remove(other)
    return lease if is_highest else None


def is_followed(where: Path | LeasePlace, number: int) -> bool:
    """Return whether somebody has a higher lease: who had the one of this number has lost the folder.

    Also for a process of the holder's on another host, where the lease itself may not be seen yet.

    Raises:
        OSError: the system does not let us look.
    """
    return _place(where).numbers()[-1:] > [number]


class Observer:
    """Tells living leases from dead ones, by looking at them again and again.

    Args:
        clock: seconds that only ever grow, of this process.
        patience: for which an unchanged lease is taken to live.
        longest: seconds that count between two looks, at most.
        sleep: lets so many seconds pass.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        patience: float = DEAD_SECONDS,
        longest: float = LONGEST_LOOK,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._longest = longest
        self._sleep = sleep
        self._seen: dict[LeasePlace, tuple[Sign | None, float, float]] = {}
        """Place -> what was seen there last, for how long it is unchanged, and when that was."""

    def is_held(self, where: Path | LeasePlace) -> bool:
        """Return whether somebody holds a folder.

        A lease that is over, or dead, is ended, so that the next one may take it: on another host than this one nobody
        could tell.

        Raises:
            OSError: the system does not let us look, or end it.
        """
        place = _place(where)
        sign = read(place)  # before the lock, which its holder took first
        if place.is_locked():
            return True
        if not place.is_over(sign) and self._silence(place, sign) < self._patience:
            return True
        if sign is not None and not sign.is_free:
            take(place, sign, free=True)
        self._seen.pop(place, None)
        return False

    def watch(self, places: Iterable[LeasePlace]) -> dict[LeasePlace, Sign]:
        """Watch leases until each has changed, or is dead; return those that are dead. Nothing is written.

        It takes as long as an unchanged lease is taken to live.

        Raises:
            OSError: the system does not let us look.
        """
        left = {place: sign for place in places if (sign := read(place)) is not None}
        while left and min([self._silence(*one) for one in left.items()]) < self._patience:
            self._sleep(LOOK_SECONDS)
            left = {place: sign for place, sign in left.items() if read(place) == sign}
        return left

    def _silence(self, place: LeasePlace, sign: Sign | None) -> float:
        """Return for how many seconds a lease is unchanged, after a look at it."""
        now = self._clock()
        before, silence, looked = self._seen.get(place, (None, 0.0, now))
        silence = silence + min(now - looked, self._longest) if sign == before else 0.0
        self._seen[place] = sign, silence, now
        return silence


class Holding:
    """Whether this process holds a folder; true in a condition if it does.

    Use as a context manager around what it does there: a thread beats meanwhile.
    """

    def __init__(self, lease: Lease | None, leaves: Callable[[], LeftFiles] = dict) -> None:
        self._lease = lease
        self._leaves: Callable[[], LeftFiles | None] = leaves
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mfsweep-lease", daemon=True)

    def __bool__(self) -> bool:
        return self._lease is not None

    @property
    def number(self) -> int | None:
        """Return the number of the lease."""
        return self._lease and self._lease.number

    def leave_unsaid(self) -> None:
        """Say nothing of what is left: another host writes there, and this one may see that late."""
        self._leaves = lambda: None

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
            left = None
            with contextlib.suppress(OSError):
                left = self._leaves()
            with contextlib.suppress(OSError):
                self._lease.release(left)

    def _beat(self) -> None:
        assert self._lease
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, a file system that is away: the next beat may arrive
                if not self._lease.beat():
                    return


@contextlib.contextmanager
def holding(folder: Path, leaves: Callable[[], LeftFiles] = dict, *, waits: bool = False) -> Iterator[Holding]:
    """Hold a folder, which is made where it is missing, against every process on every host.

    What is given is false at once when another process holds it, or may hold it: whether a lease of another host is
    dead only an `Observer` can tell, in time.

    Args:
        folder: what is held.
        leaves: tells what files are in it, as far as they matter to who holds it next.
        waits: until what another host has left there lately is seen as it was left, DEAD_SECONDS at most.
    """
    place = FolderPlace(folder)
    with claimed(folder) as locked_:
        sign = read(place) if locked_ else None
        given_back = place.changed(sign.number) if sign else 0.0
        lease = take(place, sign) if locked_ and place.is_over(sign) else None
        with Holding(lease, leaves) as held:
            if lease and sign and (left := _maybe_unseen(place, sign, place.changed(lease.number) - given_back)):
                _see(lease, left, leaves, waits=waits)
            yield held


def _maybe_unseen(place: FolderPlace, sign: Sign, seconds: float) -> LeftFiles | None:
    """Return what was left so many seconds ago, if this host may not see it yet."""
    is_seen = (place.is_near(sign) and sign.saw) or seconds > _LATELY_SECONDS
    return None if is_seen else sign.left


def _see(lease: Lease, left: LeftFiles, leaves: Callable[[], LeftFiles], *, waits: bool) -> None:
    """Look whether files are seen as they were left, or wait for it; as long as they are not, the lease says so."""
    if leaves() == left:
        return
    lease.unseen = left
    with contextlib.suppress(OSError):  # as of every beat
        lease.beat()  # who follows after a kill reads it there
    if waits:
        looks = int(DEAD_SECONDS / LOOK_SECONDS)
        while leaves() != left and (looks := looks - 1):
            time.sleep(LOOK_SECONDS)
        lease.unseen = None


def end_dead(folder: Path, say: Callable[[str], object]) -> bool:
    """End a lease that another host has on a folder, if that host is dead; return whether the folder may be held now.

    It takes as long as an unchanged lease is taken to live.

    Args:
        folder: what is held.
        say: is told why it takes long.

    Raises:
        OSError: the system does not let us look, or end it.
    """
    place = FolderPlace(folder)
    sign = read(place)
    if sign is None or place.is_locked() or place.is_over(sign):
        return True
    say(f"{folder} is held by {sign.holder}: that is watched for {DEAD_SECONDS:.0f} s, if it does not stir")
    is_dead = bool(Observer().watch([place]))
    if is_dead:
        take(place, sign, free=True)
    return is_dead


def is_held(folder: Path) -> bool:
    """Return whether another process holds a folder, or may hold it; nothing is written.

    Raises:
        OSError: the system does not let us look.
    """
    place = FolderPlace(folder)
    sign = read(place)
    return place.is_locked() or not place.is_over(sign)
