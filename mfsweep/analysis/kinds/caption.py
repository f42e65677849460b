"""What stands under every figure: the spec's own title, then what the marks mean."""

from __future__ import annotations

BARS = "bars: least and greatest replicate"
HOLLOW = "Hollow: a training was stopped by max_steps."


def caption(title: str, *said: str) -> str:
    """Return the caption of a figure, sentence after sentence."""
    first = title if not title or title.endswith((".", "?", "!")) else f"{title}."
    return " ".join(part for part in (first, *said) if part)
