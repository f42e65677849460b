"""Stages between a store at a URL and its working copy while a sweep runs: who may train what, and what came of it.

The driver alone speaks with the storage. Before it hands a stage out it takes the lease on it, and copies what another
run has made of it meanwhile. When the stage ends, its files are put beside the sweep, and the lease is given back after
that. In between, what the stage goes on from is put now and then: another machine goes on from there if this one dies.

While a storage cannot be reached no further stage begins. Those that are being trained go on, and are put when it is
back. What it still lacks at the end is said; the next run or `mfsweep store push` puts it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from mfsweep.errors import StoreError
from mfsweep.quantities import count
from mfsweep.store import StoreFolder
from mfsweep.store.lease import BEAT_SECONDS, Lease, Observer, take
from mfsweep.store.lease import read as read_lease
from mfsweep.store.remote import RemoteStore, copied_from
from mfsweep.store.remote.leases import HolderHere, holder_here
from mfsweep.store.remote.remote_store import DamagedUnitError
from mfsweep.store.remote.units import TRAINED, finished_units, states
from mfsweep.store.stage_folder import SHARED, StageFolder

_LOG = logging.getLogger(__name__)
STATE_SECONDS = 300.0
"""Between two times that what a stage goes on from is put."""
LOOK_SECONDS = 3.0
"""Between two looks at a stage that another run performs."""
PATIENCE_SECONDS = 60.0
"""For which what has ended is tried to be put once more, at the end of a run."""
AWAY_SECONDS = 30.0
"""After which a storage that could not be reached is asked again: its client takes its time before it gives up."""
_THREADS = 4


class Courier:
    """Carries the stages of one run.

    Args:
        store: the working copy.
        remote: the store at its URL.
        here: this process, as the holder of leases.
        say: told what a person should know.
    """

    def __init__(self, store: StoreFolder, remote: RemoteStore, here: HolderHere, say: Callable[[str], object]) -> None:
        self._store = store
        self._remote = remote
        self._here = here
        self._say = say
        self._observer = Observer()
        self._looked: dict[str, float] = {}
        self._seen: set[str] = set()
        """Stages that other runs have held."""
        self._leases: dict[str, Lease] = {}
        self._carried: dict[str, Future[None]] = {}
        """Stages that are being put."""
        self._put: dict[str, float] = {}
        """When the state of a stage was put last."""
        self._states: dict[str, Future[None]] = {}
        """Puts of states: of one stage one at a time, so that none replaces a later one."""
        self._left: dict[str, Exception] = {}
        """Stages that could not be put, and why."""
        self._is_away = False
        self._asked_again = 0.0
        self._hand = threading.Lock()
        """Held while a lease is written: a beat must not follow its end."""
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="mfsweep-courier")
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="mfsweep-courier-leases", daemon=True)
        self._beats.start()

    def is_held(self, key: str) -> bool:
        """Return whether another run performs a stage; what it has made of one is copied once it has ended."""
        if self._is_ours(key):
            return False
        now = time.monotonic()
        looked = self._looked.get(key)
        if self._is_carried(key) or now < self._asked_again or (looked is not None and now - looked < LOOK_SECONDS):
            return True
        self._looked[key] = now
        with self._reached():
            if self._observer.is_held(self._remote.lease_place(key, self._here)):
                self._seen.add(key)
                return True
            if key in self._seen:  # it has ended, and may be done
                self._copy(key)
            self._looked.pop(key)
            return False
        return True

    def take(self, key: str, parent: str | None) -> bool:
        """Take the lease on a stage that is to be performed, and copy what it goes on from.

        Args:
            key: of the stage.
            parent: of the one from whose weights it starts.

        Returns:
            Whether it is ours to perform: False also where another run has done it meanwhile.
        """
        if self._is_ours(key):
            return True
        with self._reached():
            place = self._remote.lease_place(key, self._here)
            sign = read_lease(place)
            lease = take(place, sign) if place.is_over(sign) else None
            if lease is None:
                return False
            self._leases[key] = lease
            known = self._copy(key)
            if TRAINED in known:  # done, or an evaluation is missing, for which its own weights are read
                self._copy_weights(key)
            elif states(known):
                self._go_on(key)
            if parent is not None:
                self._copy_weights(parent)
            return True
        self._release(key)
        return False

    def give_back(self, key: str) -> None:
        """Give back a stage of which nothing is left to do."""
        if self._is_ours(key):
            self._release(key)

    def validated(self, key: str) -> None:
        """Put what a stage goes on from, if that was not done for a while."""
        now = time.monotonic()
        if self._is_ours(key) and now - self._put.setdefault(key, now) > STATE_SECONDS and not self._is_put(key):
            self._put[key] = now
            self._states[key] = self._pool.submit(self._put_state, key)

    def ended(self, key: str) -> None:
        """Put what came of a stage, and give it back then."""
        self._carried[key] = self._pool.submit(self._carry, key)

    def bring(self, keys: Iterable[str]) -> None:
        """Put what the working copy has of finished stages and the storage lacks, as after an end without network."""
        with self._reached():
            there = self._remote.stages()
            for key in keys:
                if any(unit.name not in there.get(key, ()) for unit in finished_units(self._store.stage(key))):
                    self.ended(key)

    def close(self) -> list[str]:
        """Put what was cut short, give everything back, and return a sentence for what the storage lacks."""
        for key in filter(self._is_ours, list(self._leases)):
            self.ended(key)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            wait(self._carried.values())
            again = self._to_be_put_again()
            if not again or time.monotonic() > deadline:
                break
            time.sleep(1)
            for key in again:
                self.ended(key)
        self._ended.set()
        self._beats.join()
        self._pool.shutdown()
        for key in list(self._leases):
            self._release(key)
        if not self._left:
            return []
        why, stages = next(iter(self._left.values())), count(len(self._left), "stage")
        left = f"{stages} of {self._store.root} could not be put to {self._remote.url} ({why})"
        return [f"{left}: the next run puts what is missing"]

    def _carry(self, key: str) -> None:
        folder = self._store.stage(key)
        if self._is_put(key):
            wait([self._states[key]])
        try:
            if folder.record() is not None:
                self._remote.push_stage(folder, self._remote.units(key))
            else:
                self._push_state(folder)
            self._left.pop(key, None)
        except (OSError, StoreError) as error:
            self._left[key] = error
            _LOG.debug("%s is not put", key, exc_info=True)
        else:
            self._release(key)

    def _put_state(self, key: str) -> None:
        with contextlib.suppress(OSError, StoreError):
            self._push_state(self._store.stage(key))

    def _push_state(self, folder: StageFolder) -> None:
        """Put how far a stage is, unless another run has taken it over."""
        lease = self._leases.get(folder.key)
        if lease is not None and folder.path.is_dir():
            self._remote.push_state(folder, lease.number)

    def _to_be_put_again(self) -> list[str]:
        """Return the stages that the storage did not take; what is damaged here it never gets."""
        left = list(self._left.items())
        return [key for key, why in left if isinstance(why, OSError) and not self._is_carried(key)]

    def _is_ours(self, key: str) -> bool:
        return key in self._leases and not self._is_carried(key)

    def _is_put(self, key: str) -> bool:
        """Return whether the state of a stage is being put."""
        return key in self._states and not self._states[key].done()

    def _is_carried(self, key: str) -> bool:
        return key in self._carried and not self._carried[key].done()

    def _copy(self, key: str) -> set[str]:
        """Copy what the storage has of a finished stage; return the names of its sound units."""
        while TRAINED in (known := self._remote.units(key)):
            try:
                self._remote.pull_stage(self._store.stage(key), known)
                break
            except DamagedUnitError as error:
                self._set_aside(error)
        return known

    def _copy_weights(self, key: str) -> None:
        """Copy the weights of a stage; where they are damaged the stage is made again, as in a folder."""
        folder = self._store.stage(key)
        try:
            self._remote.pull_weights(folder)
        except DamagedUnitError as error:
            self._set_aside(error)
            (folder.path / SHARED).unlink(missing_ok=True)

    def _set_aside(self, error: DamagedUnitError) -> None:
        if self._remote.set_aside(error.name, error.manifest):
            self._say(f"{error}: set aside, and made again")

    def _go_on(self, key: str) -> None:
        folder = self._store.stage(key)
        try:
            step = self._remote.pull_state(folder)
        except StoreError as error:
            folder.say(f"what another machine has left of this stage is not used: {error}")
        else:
            if step is not None:
                folder.say(f"goes on from step {step}, where another machine has left it at {self._remote.url}")

    def _release(self, key: str) -> None:
        lease = self._leases.pop(key, None)
        if lease is not None:
            with self._hand, contextlib.suppress(OSError):  # else time frees it
                lease.release()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            for key, lease in list(self._leases.items()):
                with self._hand, contextlib.suppress(OSError):  # the next beat may arrive
                    if self._leases.get(key) is lease and not lease.beat():
                        self._lose(key)
            for key in self._to_be_put_again():
                self.ended(key)

    def _lose(self, key: str) -> None:
        """Leave a stage to the run that has taken it over, as this one was not heard of for long."""
        self._leases.pop(key, None)
        folder = self._store.stage(key).path
        with contextlib.suppress(OSError):  # who trains it here finds at its next validation that it is another's
            if (sign := read_lease(folder)) and not sign.is_free:
                take(folder, sign, free=True)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """Go on where the storage cannot be reached; said once."""
        try:
            yield
            self._is_away = False
        except (OSError, StoreError) as error:
            self._asked_again = time.monotonic() + AWAY_SECONDS
            if not self._is_away:
                self._is_away = True
                self._say(f"{self._remote.url} cannot be used at this moment, no further stage begins: {error}")


@contextlib.contextmanager
def couriered(store: StoreFolder, say: Callable[[str], object]) -> Iterator[Courier | None]:
    """Give the courier of a run in a working copy; None where the store is a folder.

    Args:
        store: a store, whose storage was looked at before.
        say: told what a person should know.
    """
    remote = copied_from(store)
    if remote is None:
        yield None
        return
    with holder_here(Path(store.root), os.urandom(8).hex()) as here:
        courier = Courier(store, remote, here, say)
        try:
            yield courier
        finally:
            for sentence in courier.close():
                say(sentence)
