"""metrics.jsonl: one line `{"t": unix seconds, "step": int, "metrics": {path: float}}`, steps never decreasing.

Appended by rank 0, in one write per validation, and flushed to disk before the checkpoint of the same step: so whatever
a resumed training does not repeat is in the file, and what it does repeat is cut off first.

A line that is not of this form costs itself and no other: a killed writer leaves half a line, a machine that stopped
NUL bytes, a damaged disk anything. Every reader passes over it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
"""What a metric is called: names of a spec and of quantities, with dots between them."""
_LARGEST = 2**63 - 1
"""Of steps and milliseconds, in MLflow's database."""


class Entry(NamedTuple):
    """One line of the file."""

    time: float
    """Unix time, seconds."""
    step: int
    metrics: dict[str, float]


def line(step: int, metrics: dict[str, float], time: float) -> str:
    """Return one line of the file, without its end."""
    return json.dumps({"t": round(time, 3), "step": step, "metrics": metrics}, allow_nan=False)


def parse(text: bytes) -> Entry | None:
    """Return what a line with its end says, or None where it is not a whole line of this file."""
    if not text.endswith(b"\n"):
        return None
    try:
        found = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    time, step, metrics = _number(found.get("t")), found.get("step"), found.get("metrics")
    if time is None or not 0 <= time <= _LARGEST / 1000 or type(step) is not int or not 0 <= step <= _LARGEST:
        return None
    if not isinstance(metrics, dict) or not all(map(_KEY.fullmatch, metrics)):
        return None
    values = {key: number for key, value in metrics.items() if (number := _number(value)) is not None}
    return Entry(time, step, values) if len(values) == len(metrics) else None


def append(path: Path, lines: list[str]) -> None:
    """Add lines by one write, so that a reader of the growing file meets whole lines but for the last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in lines))
        file.flush()
        os.fsync(file.fileno())


def cut(path: Path, step: int) -> None:
    """Drop what stands behind the last line of a step up to `step`.

    The file is shortened in place: what a reader has read of the kept lines stays where it was.
    """
    if not path.exists():
        return
    place = keep = 0
    with path.open("rb+") as file:
        for text in file:
            place += len(text)
            found = parse(text)
            if found is not None and found.step <= step:
                keep = place
        file.truncate(keep)


def entries(path: Path) -> Iterator[Entry]:
    """Yield the lines of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    with path.open("rb") as file:
        yield from (entry for entry in map(parse, file) if entry is not None)


def _number(value: Any) -> float | None:
    """Return a number of JSON as a float, or None where it is none, or infinite or NaN."""
    if type(value) is int and abs(value) <= _LARGEST:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else None
