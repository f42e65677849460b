"""The stages whose turn waits for something outside this run: another sweep on the store, or files to be seen here."""

from __future__ import annotations

import time
from collections.abc import Callable

from mfsweep.store.lease import DEAD_SECONDS

LOOK_SECONDS = 1.0
"""Between two looks at whether another sweep still performs a stage, or a record can be seen."""
UNSEEN = f"its trial has seen it done, and after {DEAD_SECONDS:.0f} s the store does not show that here"
"""Why a stage has failed of which nothing else is known."""


class Withheld:
    """Holds such stages, and says when to look at them again.

    Args:
        claimed: whether another sweep performs a stage now.
    """

    def __init__(self, claimed: Callable[[str], bool]) -> None:
        self._claimed = claimed
        self._held: set[str] = set()
        self._unseen: dict[str, float] = {}
        """Those that their trials have seen done, and the store does not show -> since when they are waited for."""
        self._looked = time.monotonic()

    def hold(self, key: str) -> None:
        """Hold a stage until no other sweep performs it; one that waits to be seen stays among those."""
        if key not in self._unseen:
            self._held.add(key)

    def may_appear(self, key: str) -> bool:
        """Return whether the store may still come to show a stage done that its own trial has seen done."""
        return time.monotonic() - self._unseen.setdefault(key, time.monotonic()) < DEAD_SECONDS

    def drop(self, key: str) -> None:
        """Take in that a stage waits to be seen no longer."""
        del self._unseen[key]

    def look(self) -> tuple[list[str], list[str]]:
        """Return the stages that wait to be seen, and those held until now; none where it is too early for a look."""
        if not (self._held or self._unseen) or time.monotonic() - self._looked < LOOK_SECONDS:
            return [], []
        self._looked = time.monotonic()
        free = [key for key in self._held if not self._claimed(key)]
        self._held.difference_update(free)
        return list(self._unseen), free
