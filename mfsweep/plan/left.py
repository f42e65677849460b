"""How long the stages that are left will take, by what those that are done have taken of their estimate.

    ratio of a finished stage  = its measured seconds / its estimated ones (plan/cost.py)
    seconds of a stage to come = its estimated ones x a ratio of a finished stage of like kind x the share left

The stages to come are then laid side by side, so many at a time, each after its parent. That is done many times with
ratios drawn anew (a bootstrap: first of the finished stages, then from those for each stage), and the spread of the
ends is the uncertainty.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 200
MOST = 200_000
"""Stages laid side by side in all: of a large grid there are fewer draws."""
FEWEST = 20
COVERED = 0.8
"""Part of the draws between the bounds that are told."""


class StageToCome(NamedTuple):
    """A stage that is not done."""

    parent: str | None
    """Key of a parent that is not done either, None: there is none."""
    kind: Hashable
    seconds: float
    """What it takes of one device, by estimate, for all of it."""
    left: float = 1.0
    """Share of it that is left."""
    workers: int = 1
    """Which share its seconds."""
    device_share: float = 1.0
    """Part of a device that each of them holds."""


class Left(NamedTuple):
    """How long what is left will take, seconds."""

    seconds: float
    """The median."""
    low: float | None
    high: float | None
    """Bounds of the middle 80 %; None where fewer than two stages are done to tell a spread by."""
    busy: float
    """Seconds of devices, over all stages: of the median draw."""


def left(
    tasks: Mapping[str, StageToCome], ratios: Mapping[Hashable, Sequence[float]], at_a_time: int, seed: int = 0
) -> Left | None:
    """Return how long some stages will take; None where nothing is known of their speed.

    Args:
        tasks: key -> stage, parents before children.
        ratios: kind -> the ratios of its finished stages.
        at_a_time: stages side by side.
        seed: of the draws.
    """
    everything = [ratio for found in ratios.values() for ratio in found]
    if not tasks:
        return Left(0.0, 0.0, 0.0, 0.0)
    if not everything:
        return None
    of_kind = {kind: np.asarray(ratios.get(kind) or everything) for kind in {task.kind for task in tasks.values()}}
    random = np.random.default_rng(seed)
    draws = max(FEWEST, min(DRAWS, MOST // len(tasks)))
    ends, busy = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        again = {kind: random.choice(found, len(found)) for kind, found in of_kind.items()}
        seconds = {key: task.seconds * task.left * random.choice(again[task.kind]) for key, task in tasks.items()}
        spans = {key: taken / tasks[key].workers for key, taken in seconds.items()}
        ends[draw] = makespan(tasks, spans.__getitem__, at_a_time)
        busy[draw] = sum(taken * tasks[key].device_share for key, taken in seconds.items())
    low, middle, high = np.quantile(ends, [(1 - COVERED) / 2, 0.5, (1 + COVERED) / 2]).tolist()
    known = len(everything) > 1
    return Left(middle, low if known else None, high if known else None, float(np.median(busy)))


def makespan(tasks: Mapping[str, StageToCome], seconds: Callable[[str], float], at_a_time: int) -> float:
    """Return when the last of some stages ends, if each starts as soon as its parent and a place allow it.

    Args:
        tasks: key -> stage, parents before children.
        seconds: key -> how long it takes.
        at_a_time: places.
    """
    children: dict[str, list[str]] = {}
    ready: list[str] = []
    for key, task in tasks.items():
        if task.parent is not None and task.parent in tasks:
            children.setdefault(task.parent, []).append(key)
        else:
            ready.append(key)
    ready.reverse()
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < at_a_time:
            key = ready.pop()
            heapq.heappush(running, (now + seconds(key), key))
        now, key = heapq.heappop(running)
        ready += reversed(children.get(key, ()))
    return now
