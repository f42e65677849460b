"""metrics.jsonl: one line `{"t": unix seconds, "step": int, "metrics": {path: float}}`, steps never decreasing.

Appended by rank 0, in one write per validation, before the checkpoint of the same step: so whatever a resumed
training does not repeat is in the file, and what it does repeat is cut off first.
"""

from __future__ import annotations

import json
from pathlib import Path


def line(step: int, metrics: dict[str, float], time: float) -> str:
    """Return one line of the file, without its end."""
    return json.dumps({"t": round(time, 3), "step": step, "metrics": metrics}, allow_nan=False)


def append(path: Path, lines: list[str]) -> None:
    """Add lines by one write, so that a reader of the growing file meets whole lines but for the last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in lines))


def cut(path: Path, step: int) -> None:
    """Drop every line of a later step, and a last line that a killed writer left unfinished.

    The file is shortened in place: what a reader has read of the kept lines stays where it was.
    """
    if not path.exists():
        return
    keep = 0
    with path.open("rb+") as file:
        for text in file:
            if not text.endswith(b"\n") or json.loads(text)["step"] > step:
                break
            keep += len(text)
        file.truncate(keep)
