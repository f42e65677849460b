"""Which structures are computed together, and who is left when a process dies: pure, and knows no Ray.

A batch that kills its process is tried once more as it is (the machine may have been at fault), then in halves, down to
the structure that does it. Sizes follow the cost that was measured, so that a batch takes seconds whatever the method.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TARGET_SECONDS = 4.0
"""What a batch is to take: long against the cost of sending it, short against what a killed run may lose."""
GROWTH = 8
"""A batch is at most so many times as large as the largest one measured: costs of a few tell little."""
SHORTEST = 1 / 8
"""Share of the target down to which batches shrink towards the end."""
LARGEST = 4096
"""Structures of a batch: about a megabyte of geometries."""
TRIES = 2
"""Times that a batch is tried before it is split, and that a single structure is before it is given up."""


class LabelBatch(NamedTuple):
    """Structures that are computed by one task."""

    members: NDArray[np.int64]
    """(n,) structures."""
    tries: int = 0
    """How often it killed its process."""


class Batches:
    """Hands out batches until every structure was in a batch that came back."""

    def __init__(self, index: NDArray[np.int64], *, slots: int, size: int | None = None) -> None:
        """Prepare.

        Args:
            index: (n,) the structures, in the order in which they are handed out.
            slots: batches that are computed at a time; towards the end they shrink, so that all slots stay busy.
            size: structures of a batch. Default: as many as take TARGET_SECONDS.
        """
        self._index = index
        self._slots = slots
        self._fixed = size
        self._next = 0
        self._again: deque[LabelBatch] = deque()
        self._measured = 0
        self._seconds = math.nan

    def take(self) -> LabelBatch | None:
        """Return the next batch, None when there is none to hand out now."""
        if self._again:
            return self._again.popleft()
        left = len(self._index) - self._next
        if not left:
            return None
        size = self._fixed or self._size(left)
        batch = LabelBatch(self._index[self._next : self._next + size])
        self._next += len(batch.members)
        return batch

    def measured(self, structures: int, seconds: float) -> None:
        """Take what a batch took on its worker, wall time."""
        self._measured = max(self._measured, structures)
        each = seconds / structures
        self._seconds = each if math.isnan(self._seconds) else 0.7 * self._seconds + 0.3 * each

    def died(self, batch: LabelBatch) -> int | None:
        """Take back a batch that killed its process; return the structure that is given up, if it is alone in it."""
        again = batch._replace(tries=batch.tries + 1)
        if again.tries < TRIES:
            self._again.append(again)
        elif len(batch.members) == 1:
            return int(batch.members[0])
        else:
            # The halves are suspects already: each of them is split at its first death, until one is alone.
            for half in np.array_split(batch.members, 2):
                self._again.append(LabelBatch(half, tries=TRIES - 1 if len(half) > 1 else 0))
        return None

    def _size(self, left: int) -> int:
        if not self._measured:
            return 1
        wanted = TARGET_SECONDS / max(self._seconds, TARGET_SECONDS / LARGEST)
        share = max(math.ceil(left / (2 * self._slots)), int(SHORTEST * wanted))
        return max(1, min(int(wanted), GROWTH * self._measured, share))
