"""metrics.jsonl: one line `{"t": unix seconds, "step": int, "metrics": {path: float}}`, steps never decreasing.

Appended by rank 0, in one write per validation, and flushed to disk before the checkpoint of the same step: so whatever
a resumed training does not repeat is in the file, and what it does repeat is cut off first. When the stage is done, the
same bytes stay as metrics.jsonl.gz. Paths here are those of the plain file; every reader takes whichever there is.

A line that is not of this form costs itself and no other: a killed writer leaves half a line, a machine that stopped
NUL bytes, a damaged disk anything. Every reader passes over it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mfsweep.files import write_file

logger = logging.getLogger(__name__)

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
"""What a metric is called: names of a spec and of quantities, with dots between them."""
_LARGEST = 2**63 - 1
"""Greatest step, and greatest number of milliseconds, that MLflow's database takes."""


class MetricsLine(NamedTuple):
    """One line of the file."""

    time: float
    """Unix time, seconds."""
    step: int
    metrics: dict[str, float]


def line(step: int, metrics: dict[str, float], time: float) -> str:
    """Return one line of the file, without its end."""
    return json.dumps({"t": round(time, 3), "step": step, "metrics": metrics}, allow_nan=False)


def parse(text: bytes) -> MetricsLine | None:
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
    return MetricsLine(time, step, values) if len(values) == len(metrics) else None


def append(path: Path, lines: list[str]) -> None:
    """Add lines by one write, so that a reader of the growing file meets whole lines but for the last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in lines))
        file.flush()
        os.fsync(file.fileno())


def cut(path: Path, step: int) -> None:
    """Drop what stands behind the last line of a step up to `step`.

    The file is shortened in place: what a reader has read of the kept lines stays where it was. A compressed one, of a
    stage whose record was removed, becomes a plain one again.
    """
    _unpack(path)
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


def packed(path: Path) -> Path:
    """Return where the compressed file of a finished stage lies."""
    return path.with_name(f"{path.name}.gz")


def pack(path: Path) -> None:
    """Compress the file of a finished stage, if that was not done yet: the new one is on disk before the old one goes.

    Equal files become equal files. A reader that looks for the plain file first and then for the other finds one. A
    compressed one that has more stays, and the plain one goes: a run that had lost the stage may have begun it.
    """

    def write(temporary: Path) -> None:
        with (
            path.open("rb") as plain,
            temporary.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as file,
        ):
            shutil.copyfileobj(plain, file, 1 << 20)

    with contextlib.suppress(FileNotFoundError):  # done, perhaps at this moment by another process
        if not packed(path).exists() or _has_as_much(path):
            write_file(packed(path), write)
    path.unlink(missing_ok=True)


def _has_as_much(path: Path) -> bool:
    """Return whether the plain file reaches as far as the compressed one, by as many lines."""
    there: list[int] = []
    with contextlib.suppress(FileNotFoundError):  # it has gone since
        there = [entry.step for entry in map(parse, packed_lines(path)) if entry is not None]
    plain = [entry.step for entry in entries(path)]
    return len(plain) >= len(there) and max(plain, default=0) >= max(there, default=0)


def packed_lines(path: Path) -> Iterator[bytes]:
    """Return the lines of the compressed file; where it is damaged, those before that, with a warning.

    Raises:
        FileNotFoundError: there is none.
    """
    return _lines_of(gzip.open(packed(path), "rb"), packed(path))


def entries(path: Path, holding: bytes = b"") -> Iterator[MetricsLine]:
    """Return what the lines of a stage's file say, whether it is still plain or compressed.

    Args:
        path: the plain file's.
        holding: what the lines have to hold; validations are few among many steps, and quickly found.

    Raises:
        FileNotFoundError: there is neither.
    """
    try:
        lines = _lines_of(path.open("rb"), path)
    except FileNotFoundError:
        lines = packed_lines(path)
    return (entry for entry in map(parse, (text for text in lines if holding in text)) if entry is not None)


def _lines_of(file: BinaryIO | gzip.GzipFile, path: Path) -> Iterator[bytes]:
    with file:
        try:
            yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            logger.warning("%s is damaged, and read as far as it goes (%s)", path, error)


def _unpack(path: Path) -> None:
    if not packed(path).exists():
        return
    if not path.exists():
        write_file(path, lambda temporary: temporary.write_bytes(b"".join(packed_lines(path))))
    packed(path).unlink()


def _number(value: Any) -> float | None:
    """Return a number of JSON as a float, or None where it is none, or infinite or NaN."""
    if type(value) is int and abs(value) <= _LARGEST:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else None
