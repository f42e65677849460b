"""Numbers of labels in words."""

from __future__ import annotations

from collections.abc import Mapping


def labels_text(labels: Mapping[str, int]) -> str:
    """Return numbers of labels in words, `60 cc + 300 dft`."""
    return " + ".join(f"{number:,} {method}" for method, number in labels.items() if number) or "none"


def labels_between(low: Mapping[str, int], high: Mapping[str, int]) -> str:
    """Return what lies between two numbers of labels in words, `20 to 80 cc + 300 dft`."""
    spans = {method: sorted((low.get(method, 0), high.get(method, 0))) for method in {**low, **high}}
    said = {
        method: f"{ends[0]:,}" + (f" to {ends[1]:,}" if ends[1] > ends[0] else "") for method, ends in spans.items()
    }
    return " + ".join(f"{said[method]} {method}" for method, ends in spans.items() if ends[1]) or "none"
