"""Whose turn a stage is, among all runs that share a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mfsweep.run.courier import Courier
from mfsweep.store import StoreFolder
from mfsweep.store.lease import Observer


class Turns:
    """Tells what other runs perform, and takes what this one is to perform.

    In a folder that is no more than a look: the process that performs a stage holds it (StageFolder.claim). In the
    working copy of a store at a URL the run takes it from the others before that, through its courier.

    Args:
        store: the folder.
        courier: of a store at a URL.
        done: whether the store says that a stage is done.
    """

    def __init__(self, store: StoreFolder, courier: Courier | None, done: Callable[[str], bool]) -> None:
        self._store = store
        self._courier = courier
        self._done = done
        self._observer = Observer()

    def begin(self, done: Iterable[str]) -> None:
        """Put what is done here, and lacks at the URL.

        Args:
            done: keys of the stages that are done.
        """
        if self._courier:
            self._courier.bring(done)

    def is_held(self, key: str) -> bool:
        """Return whether another run performs a stage."""
        try:
            if self._observer.is_held(self._store.stage(key).path):
                return True
        except OSError:  # another user's: its trial meets the same, and says so
            return False
        return self._courier is not None and self._courier.is_held(key)

    def take(self, key: str, parent: str | None) -> bool:
        """Return whether a stage is ours to perform, False where another run was quicker, or has done it meanwhile.

        Args:
            key: of the stage.
            parent: of the one from whose weights it starts.
        """
        if self._courier is None:
            return True
        if not self._courier.take(key, parent):
            return False
        if not self._done(key):
            return True
        self._courier.give_back(key)
        return False
