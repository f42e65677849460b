"""What stands under every figure: the spec's own title, then what the marks mean."""

from __future__ import annotations

from collections.abc import Iterable

from mfsweep.analysis.selection import Spread
from mfsweep.quantities import count

BARS = "bars: least and greatest replicate"
HOLLOW = "Hollow: not converged (max_steps, or a head that was still improving)."


def caption(title: str, *said: str) -> str:
    """Return the caption of a figure, sentence after sentence."""
    first = title if not title or title.endswith((".", "?", "!")) else f"{title}."
    return " ".join(part for part in (first, *said) if part)


def unbalanced(shown: Iterable[Spread]) -> str:
    """Return what the means leave out, so that each is over the same settings in all its replicates."""
    number = sum(one.left_out for one in shown)
    return f"Left out: {count(number, 'training')} that not every replicate has." if number else ""
