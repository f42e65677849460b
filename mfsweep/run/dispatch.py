"""Which stage goes next: the one with the longest chain below it, as there is room for its shape.

Two rules let stages of several shapes share a cluster, of which none waits for ever:

    a turn is kept      The first in line, where it does not fit yet, is the next: others go meanwhile only if it fits
                        beside all that went since. So it waits at most for what was out when its turn came, and what
                        it cannot use is used.
    none is overtaken   A stage that was handed out and has waited long for its workers, while later ones have theirs,
                        is waited for: nothing is handed out until it has begun, or nothing that came later runs. That
                        is where nodes are not known, or their room is in pieces.

What other sweeps on the cluster are to have is the business of run/shares.py: where the next stage is theirs, the line
stands.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from mfsweep.run.shapes import StageShape


class Admitting(Protocol):
    """What judges whether there is room: run/room.py."""

    @property
    def patience(self) -> float:
        """Return the seconds for which a stage may wait for its workers while others overtake it."""
        ...

    def admits(self, shape: StageShape, out: Mapping[StageShape, int], begun: int) -> bool:
        """Return whether there is room for a stage beside those that are out."""
        ...

    def serves(self, shape: StageShape) -> bool:
        """Return whether there is room for a stage where nothing else is out."""
        ...

    def has_turn(self, shape: StageShape, out: Mapping[StageShape, int], begun: Mapping[StageShape, int]) -> bool:
        """Return whether a stage may take room from other sweeps."""
        ...

    def tell(
        self, ready: Mapping[StageShape, int], out: Mapping[StageShape, int], begun: Mapping[StageShape, int]
    ) -> None:
        """Tell the other sweeps what this one holds and wants."""
        ...


class Dispatch:
    """The stages that can go, in order, and those that are out.

    Args:
        shape: stage key -> what the stage holds.
        room: for them; None where none is ever taken.
    """

    def __init__(self, shape: Callable[[str], StageShape], room: Admitting | None) -> None:
        self._shape = shape
        self._shape_of: dict[str, StageShape] = {}
        """The same, asked once of each."""
        self._given = room
        self._rank: dict[str, tuple[float, int]] = {}
        """The stage with the longest chain below it goes first, then in the order in which they came."""
        self._ready: dict[StageShape, list[tuple[float, int, str]]] = {}
        self.out: dict[str, float] = {}
        """Stages that were taken and have not ended -> since when they wait, or have waited, for their workers."""
        self.begun: set[str] = set()
        """Those of them that have their workers."""
        self._kept: StageShape | None = None
        """Whose turn it is, though there is no room yet."""
        self._since_kept: set[str] = set()
        """What went meanwhile."""

    @property
    def _room(self) -> Admitting:
        assert self._given is not None, "there is something to train"
        return self._given

    def rank(
        self, new: Mapping[str, object], children: Mapping[str, Sequence[str]], seconds: Callable[[str], float]
    ) -> None:
        """Rank further stages of the graph.

        Args:
            new: their keys, parents before children.
            children: key -> keys of the stages right below, of all stages.
            seconds: key -> what it is expected to take, in any unit.
        """
        first = len(self._rank)
        heights = _heights(new, children, seconds)
        self._rank |= {key: (-heights[key], first + order) for order, key in enumerate(new)}
        self._shape_of |= {key: self._shape(key) for key in new}

    def put(self, key: str) -> None:
        """Put a ranked stage in line."""
        heapq.heappush(self._ready.setdefault(self._shape_of[key], []), (*self._rank[key], key))

    def take(self) -> str | None:
        """Take the first stage that may go, which is out then; None where none may."""
        line = [shape for _, shape in sorted((heap[0], shape) for shape, heap in self._ready.items() if heap)]
        if not line or self._is_overtaken():
            return None
        if self._kept in line:
            line.sort(key=lambda shape: shape != self._kept)
        else:
            self._keep(None)
        for shape in line:
            if self._may_go(shape):
                has_turn = self._room.has_turn(shape, self._shapes(self.out), self._shapes(self.begun))
                return self._go(shape) if has_turn else None
            if self._kept is None and self._room.serves(shape):
                self._keep(shape)
        # With nothing out there is no other word to the cluster of what is needed.
        return None if self.out else self._go(line[0])

    def begin(self, key: str) -> None:
        """Take in that a stage has its workers."""
        self.begun.add(key)

    def lose(self, key: str) -> None:
        """Take in that a stage has lost its workers and waits for others."""
        self.begun.discard(key)
        self.out[key] = time.monotonic()

    def end(self, key: str) -> None:
        """Take in that a stage is not out any more."""
        self.out.pop(key, None)
        self.begun.discard(key)
        self._since_kept.discard(key)

    def waiting(self) -> Counter[StageShape]:
        """Return the shapes of the stages that are out and wait for their workers, with how many each."""
        return self._shapes(self.out.keys() - self.begun)

    def tell(self) -> None:
        """Tell the other sweeps on the cluster where this one stands."""
        if self._given is not None:
            ready = {shape: len(heap) for shape, heap in self._ready.items() if heap}
            self._room.tell(ready, self._shapes(self.out), self._shapes(self.begun))

    def _may_go(self, shape: StageShape) -> bool:
        begun = len(self.begun)
        if not self._room.admits(shape, self._shapes(self.out), begun):
            return False
        if self._kept in (None, shape):
            return True
        return self._room.admits(self._kept, self._shapes(self._since_kept) + Counter([shape]), begun)

    def _go(self, shape: StageShape) -> str:
        *_, key = heapq.heappop(self._ready[shape])
        self.out[key] = time.monotonic()
        if shape == self._kept:
            self._keep(None)
        elif self._kept is not None:
            self._since_kept.add(key)
        return key

    def _keep(self, shape: StageShape | None) -> None:
        self._kept = shape
        self._since_kept.clear()

    def _is_overtaken(self) -> bool:
        latest = time.monotonic() - self._room.patience
        waits = [
            since
            for key, since in self.out.items()
            if since < latest and key not in self.begun and self._room.serves(self._shape_of[key])
        ]
        return bool(waits) and any(self.out[key] > min(waits) for key in self.begun)

    def _shapes(self, keys: Iterable[str]) -> Counter[StageShape]:
        return Counter(map(self._shape_of.__getitem__, keys))


def _heights(
    new: Mapping[str, object], children: Mapping[str, Sequence[str]], seconds: Callable[[str], float]
) -> dict[str, float]:
    """Return what the longest chain below and including each stage takes."""
    heights: dict[str, float] = {}
    for key in reversed(list(new)):
        heights[key] = seconds(key) + max((heights[child] for child in children[key]), default=0.0)
    return heights
