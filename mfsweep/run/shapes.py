"""Whether stages of several shapes fit on some nodes side by side. Pure functions.

The workers that ask for most are laid down first, each on the first node that has room for it (first fit, decreasing).
Where that finds no place there may be one all the same, seldom: a stage then waits a little longer than it must.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_SLACK = 1e-9
"""Amounts are sums of tenths and hundredths: 0.3 / 0.1 is to count as three."""


class StageShape(NamedTuple):
    """What a stage holds while it is performed."""

    workers: int
    each: tuple[tuple[str, float], ...]
    """Resource -> amount of one worker, as Ray names them; none of them 0."""

    @property
    def whole(self) -> dict[str, float]:
        """Return what all its workers hold together."""
        return {name: amount * self.workers for name, amount in self.each}


class NodeKind(NamedTuple):
    """A kind of node that an autoscaler starts."""

    resources: dict[str, float]
    """What one node has."""
    nodes: float
    """How many of this kind there are at most; inf: any number."""


class Limits(NamedTuple):
    """How far a cluster may grow."""

    kinds: tuple[NodeKind, ...]
    """The kinds of nodes, the head left out."""
    nodes: float
    """How many nodes of all kinds there are at most, the head left out."""

    @property
    def are_finite(self) -> bool:
        """Return whether there is a most."""
        return math.isfinite(min(self.nodes, sum(kind.nodes for kind in self.kinds)))

    def workers(self, each: Mapping[str, float]) -> float:
        """Return how many workers that hold `each` fit on all the nodes that may be started; inf: any number."""
        left, workers = self.nodes, 0.0
        for kind, fit in sorted(
            ((kind, room_on(kind.resources, each)) for kind in self.kinds), key=lambda own: -own[1]
        ):
            if fit:
                nodes = min(kind.nodes, left)
                workers += fit * nodes
                left -= nodes
        return workers

    def most(self, name: str) -> float:
        """Return the most of a resource that the nodes of all kinds can have together."""
        return self.workers({name: 1.0})


def room_on(node: Mapping[str, float], each: Mapping[str, float]) -> int:
    """Return how many workers that hold `each` fit on a node that is empty."""
    return _Free(node).room(each)


def fit(nodes: Sequence[Mapping[str, float]], stages: Mapping[StageShape, int]) -> bool:
    """Return whether stages fit on nodes side by side.

    Args:
        nodes: what each of them has.
        stages: shape -> how many of it.
    """
    free = [_Free(node) for node in nodes]
    return all(not _lay(free, shape, count * shape.workers) for shape, count in _decreasing(stages))


def fit_within(limits: Limits, stages: Mapping[StageShape, int]) -> bool:
    """Return whether stages fit side by side on nodes that an autoscaler may start.

    Args:
        limits: of the autoscaler.
        stages: shape -> how many of it.
    """
    free: list[_Free] = []
    started = [0] * len(limits.kinds)
    for shape, count in _decreasing(stages):
        left = _lay(free, shape, count * shape.workers)
        rooms = [room_on(kind.resources, dict(shape.each)) for kind in limits.kinds]
        for place in sorted(range(len(rooms)), key=lambda place: -rooms[place]):
            while left and rooms[place] and started[place] < limits.kinds[place].nodes and len(free) < limits.nodes:
                free.append(_Free(limits.kinds[place].resources))
                started[place] += 1
                left = _lay(free[-1:], shape, left)
        if left:
            return False
    return True


def _decreasing(stages: Mapping[StageShape, int]) -> Iterable[tuple[StageShape, int]]:
    def size(item: tuple[StageShape, int]) -> tuple[float, float, float]:
        each = dict(item[0].each)
        return each.get("GPU", 0.0), each.get("CPU", 0.0), sum(each.values())

    return sorted(stages.items(), key=size, reverse=True)


def _lay(free: Iterable[_Free], shape: StageShape, workers: int) -> int:
    """Lay down workers of one shape as far as they go; return how many are left."""
    each = dict(shape.each)
    for node in free:
        if not workers:
            break
        here = min(workers, node.room(each))
        node.take(each, here)
        workers -= here
    return workers


class _Free:
    """What is free of one node. A part of a GPU lies within one GPU."""

    def __init__(self, node: Mapping[str, float]) -> None:
        self._amounts = {name: amount for name, amount in node.items() if name != "GPU"}
        self._gpus = [1.0] * math.floor(node.get("GPU", 0.0))

    def room(self, each: Mapping[str, float]) -> int:
        """Return how many workers that hold `each` there is room for."""
        return min(
            self._gpu_room(amount) if name == "GPU" else _times(self._amounts.get(name, 0.0), amount)
            for name, amount in each.items()
        )

    def take(self, each: Mapping[str, float], workers: int) -> None:
        """Take what some workers hold, for which there is room."""
        for name, amount in each.items():
            if name != "GPU":
                self._amounts[name] = self._amounts.get(name, 0.0) - amount * workers
        left, amount = workers, each.get("GPU", 0.0)
        if amount > 1:
            left, amount = round(workers * amount), 1.0
        # The GPUs that others share already come first: whole ones stay for those that need them.
        for place in sorted(range(len(self._gpus)), key=self._gpus.__getitem__) if amount else ():
            here = min(left, _times(self._gpus[place], amount))
            self._gpus[place] -= here * amount
            left -= here

    def _gpu_room(self, amount: float) -> int:
        if amount > 1:
            return _times(sum(_times(gpu, 1.0) for gpu in self._gpus), amount)
        return sum(_times(gpu, amount) for gpu in self._gpus)


def _times(there: float, amount: float) -> int:
    return math.floor(there / amount + _SLACK)
