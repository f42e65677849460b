"""Tells what a graph grows by of the stages that have ended; again later, where it does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from mfsweep.run.growing import NotNow

AGAIN_SECONDS = 10.0
"""After which one that did not answer is told again: its client takes its time before it gives up."""

Parents = Mapping[str, str | None]
"""Stage key -> its parent's key or None, parents before children."""


class Supply:
    """Keeps the ends that were not told.

    Args:
        source: takes the keys of the stages that have ended and returns the graph, which may have grown; or raises
            NotNow, and is given them again later. None: the graph stays as it is.
    """

    def __init__(self, source: Callable[[Sequence[str]], Parents] | None) -> None:
        self._source = source
        self._untold: list[str] = []
        self._told_again = 0.0
        """When it is told again."""

    @property
    def is_open(self) -> bool:
        """Return whether it is to be told of an end."""
        return self._source is not None and bool(self._untold)

    def note(self, key: str) -> None:
        """Take in that a stage has ended."""
        self._untold.append(key)

    def answer(self) -> Parents | None:
        """Return the graph as it is after the ends not told yet; None where there are none, or it does not answer."""
        if self._source is None or not self._untold or time.monotonic() < self._told_again:
            return None
        try:
            parents = self._source(self._untold)
        except NotNow:
            self._told_again = time.monotonic() + AGAIN_SECONDS
            return None
        self._untold = []
        return parents
