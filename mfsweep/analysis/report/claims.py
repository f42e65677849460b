"""The statements of the spec, and what came out."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import PageBlock, Paragraph, SortableTable
from mfsweep.analysis.study import Analysis
from mfsweep.analysis.suite import p_text, rests_on, summary

HEAD = ("stated", "came out", "rests on", "p (adjusted)", "verdict")
ADVICE_HEAD = ("recommendation", "rests on", "verdict")
TEXT = frozenset({0, 1, 2, 4})


def blocks(analysis: Analysis) -> list[PageBlock]:
    """Return the section; without claims nothing."""
    if not analysis.claims:
        return []
    rows = [(one.says, one.came_out, rests_on(one), p_text(one), one.verdict) for one in analysis.claims]
    found: list[PageBlock] = [
        SortableTable("What is stated, and what came out here", HEAD, rows, TEXT),
        Paragraph(summary(analysis.claims)),
    ]
    advice = [(one.recommends, one.says, one.verdict) for one in analysis.claims if one.recommends]
    return [*found, SortableTable("Recommendations", ADVICE_HEAD, advice, frozenset({0, 1, 2}))] if advice else found
