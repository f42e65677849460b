"""References of the code to the rules of fairness, which become links in the pages that are written from it."""

from __future__ import annotations

import re

REFERENCE = re.compile(r"docs/fairness\.md#(rule-(\d+))")
"""How code and its messages name a rule."""


def linked(text: str) -> str:
    """Return Markdown of a page in reference/ with each reference to a rule as a link."""
    return REFERENCE.sub(r"[rule \2](../fairness.md#\1)", text)
