"""Reading a stage's metrics.jsonl while it grows, and when it is compressed at the stage's end, each point once.

A position in bytes is not enough: a stage that resumes from its last checkpoint cuts off the lines after it and
writes those steps again, with other times. What counts is the step: of each metric, only points above the highest step
that was read before are new, and of those the ones that thinning.py keeps. The byte position is merely a short cut, and
is dropped when the file is not the one it belonged to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from mfsweep.metrics_file import MetricsLine, packed_lines, parse
from mfsweep.run.thinning import keeps


class MetricPoint(NamedTuple):
    """One value of one metric."""

    key: str
    value: float
    timestamp: int
    """Unix time, milliseconds: as written by the trainer, so that a replay sends the very same point."""
    step: int


class Tail:
    """The part of one metrics file that was not taken yet. `peek` and, once the points are safe elsewhere, `take`."""

    def __init__(
        self,
        path: Path,
        steps: Mapping[str, int],
        per_decade: int | Literal["all"],
        named: Callable[[str], str] = str,
    ) -> None:
        """Begin behind `steps`: metric -> highest step that was taken before; `per_decade` as thinning.py has it.

        `named` gives a metric the name under which it is taken, which is that of `steps`.
        """
        self._named = named
        self._path = path
        self._steps = dict(steps)
        self._per_decade: int | Literal["all"] = per_decade
        self._offset = 0
        self._last_line = b""
        self._packed: Iterator[bytes] | None = None
        """What was not read yet of the compressed file, which grows no more."""
        self._peeked: list[MetricPoint] = []

    def peek(self, limit: int) -> list[MetricPoint]:
        """Return new points in file order: none at the end of the file, else enough lines for at least `limit`.

        Until they are taken, the same points come again, whatever has become of the file: a write that failed half
        way is repeated as it was. A line that is still being written (no newline yet) is left for later, one that is
        not a line of a metrics file is passed over.
        """
        if not self._peeked:
            self._peeked = self._read(limit)
        return self._peeked

    def take(self) -> None:
        """Mark what the latest `peek` returned as taken."""
        self._peeked = []

    def _read(self, limit: int) -> list[MetricPoint]:
        try:
            with self._path.open("rb") as file:
                return self._points(self._grown(file), limit)
        except FileNotFoundError:
            pass
        # From its start: the steps say what is new. This order of looking meets one of the two, as `pack` writes them.
        try:
            self._packed = self._packed or packed_lines(self._path)
        except FileNotFoundError:
            return []
        return self._points(self._packed, limit)

    def _points(self, lines: Iterator[bytes], limit: int) -> list[MetricPoint]:
        points: list[MetricPoint] = []
        for text in lines:
            entry = parse(text)
            if entry is not None:
                points += self._new(entry)
            if len(points) >= limit:
                break
        return points

    def _grown(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the whole lines of the growing file that were not read yet."""
        file.seek(self._offset - len(self._last_line))
        if file.read(len(self._last_line)) != self._last_line:
            self._offset, self._last_line = 0, b""
            file.seek(0)
        while (text := file.readline()).endswith(b"\n"):
            self._offset += len(text)
            self._last_line = text
            yield text

    def _new(self, entry: MetricsLine) -> list[MetricPoint]:
        """Return the points of a line that are new and kept, and count them as read."""
        found = []
        for key, value in entry.metrics.items():
            name = self._named(key)
            if keeps(key, entry.step, self._steps.get(name, -1), self._per_decade):
                self._steps[name] = entry.step
                found.append(MetricPoint(name, value, round(entry.time * 1000), entry.step))
        return found
