"""Timing side by side: the contestants take turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all contestants once to warm up, then in turns.

    Args:
        contestants: name -> a run that returns how much work it did.
        rounds: turns of each.

    Returns:
        Name -> work per second of process time, one value a turn.
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.process_time()
            work = run()
            rates[name].append(work / (time.process_time() - start))
    return rates


def table(rates: Mapping[str, list[float]], ours: str, unit: str) -> str:
    """Return a Markdown table: median rate with its range, and the median of our rate over theirs, turn by turn."""
    lines = [f"| | {unit} (median) | lowest to highest | ours over this |", "|---|---|---|---|"]
    for name, values in rates.items():
        ratio = statistics.median(own / other for own, other in zip(rates[ours], values, strict=True))
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        lines.append(f"| {name} | {statistics.median(values):,.0f} | {spread} | {ratio:,.1f} x |")
    return "\n".join(lines)
