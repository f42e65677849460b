"""Reading a stage's metrics.jsonl while it grows, each point once.

A position in bytes is not enough: a stage that resumes from its last checkpoint cuts off the lines after it and
writes those steps again, with other times. What counts is the step: of each metric, only points above the highest step
that was read before are new. The byte position is merely a short cut, and is dropped when the file is not the one it
belonged to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Point(NamedTuple):
    """One value of one metric."""

    key: str
    value: float
    timestamp: int
    """Unix time, milliseconds: as written by the trainer, so that a replay sends the very same point."""
    step: int


class Tail:
    """The part of one metrics file that was not taken yet. `peek` and, once the points are safe elsewhere, `take`."""

    def __init__(self, path: Path, steps: Mapping[str, int]) -> None:
        """Begin behind `steps`: metric -> highest step that was taken before."""
        self._path = path
        self._steps = dict(steps)
        self._offset = 0
        self._last_line = b""
        self._next = (0, b"")

    def peek(self, limit: int) -> list[Point]:
        """Return new points in file order: none at the end of the file, else enough lines for at least `limit`.

        A line that is still being written (no newline yet) is left for later, one that is not a JSON record of
        metrics (its writer was killed in the middle) is passed over.
        """
        try:
            with self._path.open("rb") as file:
                return self._read(file, limit)
        except FileNotFoundError:
            return []

    def take(self, points: list[Point]) -> None:
        """Mark what the latest `peek` returned as taken."""
        for point in points:
            self._steps[point.key] = max(point.step, self._steps.get(point.key, -1))
        self._offset, self._last_line = self._next

    def _read(self, file: BinaryIO, limit: int) -> list[Point]:
        offset, last_line = self._offset, self._last_line
        file.seek(offset - len(last_line))
        if file.read(len(last_line)) != last_line:
            offset, last_line = 0, b""
            file.seek(0)
        points: list[Point] = []
        steps = dict(self._steps)
        while len(points) < limit and (line := file.readline()).endswith(b"\n"):
            offset += len(line)
            last_line = line
            for point in _points(line):
                if point.step > steps.get(point.key, -1):
                    steps[point.key] = point.step
                    points.append(point)
        self._next = (offset, last_line)
        return points


def _points(line: bytes) -> list[Point]:
    try:
        record = json.loads(line)
        timestamp, step = round(record["t"] * 1000), int(record["step"])
        return [Point(key, float(value), timestamp, step) for key, value in record["metrics"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
