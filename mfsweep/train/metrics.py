"""metrics.jsonl: one line `{"t": unix seconds, "step": int, "metrics": {path: float}}`, steps never decreasing.

Appended by rank 0, in one write per validation, and flushed to disk before the checkpoint of the same step: so whatever
a resumed training does not repeat is in the file, and what it does repeat is cut off first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def line(step: int, metrics: dict[str, float], time: float) -> str:
    """Return one line of the file, without its end."""
    return json.dumps({"t": round(time, 3), "step": step, "metrics": metrics}, allow_nan=False)


def append(path: Path, lines: list[str]) -> None:
    """Add lines by one write, so that a reader of the growing file meets whole lines but for the last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in lines))
        file.flush()
        os.fsync(file.fileno())


def cut(path: Path, step: int) -> None:
    """Drop every line of a later step, and all from the first that cannot be read.

    A killed writer leaves a last line unfinished, a machine that stopped may leave NUL bytes.
    The file is shortened in place: what a reader has read of the kept lines stays where it was.
    """
    if not path.exists():
        return
    keep = 0
    with path.open("rb+") as file:
        for text in file:
            found = _step(text)
            if found is None or found > step:
                break
            keep += len(text)
        file.truncate(keep)


def _step(text: bytes) -> int | None:
    """Return the step of a line, or None where it is not a whole line of this file."""
    try:
        entry = json.loads(text.decode("utf-8"))
    except ValueError:
        return None
    step = entry.get("step") if isinstance(entry, dict) else None
    return step if text.endswith(b"\n") and isinstance(step, int) else None
