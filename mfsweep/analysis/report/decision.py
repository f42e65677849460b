"""The decision: what to buy, how sure that is, what would change it; or what is missing for one."""

from __future__ import annotations

from mfsweep.analysis.budget.front_figure import front_figure
from mfsweep.analysis.page.blocks import BulletList, Heading, PageBlock, Paragraph, Pictures, SortableTable
from mfsweep.analysis.study import Analysis, ReportStudy


def blocks(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    """Return the section."""
    if isinstance(analysis.advice, str):
        return [Paragraph(f"No decision: {analysis.advice}.")] if analysis.advice else []
    found: list[PageBlock] = []
    for part, sentences in analysis.advice.parts.items():
        found += [Heading(part), BulletList(sentences)]
    decision = analysis.advice.decision
    unit, error = decision.prices.unit, decision.measured.path.quantity.unit
    head = ("way", "labels", f"cost, {unit}", f"error, {error}", "95 % interval", "beyond the trained sizes")
    rows = [
        (
            str(one.way),
            ", ".join(f"{number:,} {method}" for method, number in one.labels.items()),
            f"{one.cost:.3g}",
            f"{one.error:.3g}",
            f"{one.low:.3g} to {one.high:.3g}",
            f"{max(one.beyond.values()):.2g} times" if one.beyond else "",
        )
        for one in decision.front
    ]
    caption = "The best that growing budgets buy"
    return [
        *found,
        Pictures([front_figure(decision, study.palette)]),
        SortableTable(caption, head, rows, frozenset({0, 1, 4, 5}), fold="The front"),
    ]
