"""A transfer law: what is said of it, and its lines, a row each with the axis values of its group."""

from __future__ import annotations

from mfsweep.analysis.interval import span
from mfsweep.analysis.law import POOLED, POOLED_CONVERGED, Law
from mfsweep.analysis.page.blocks import BulletList, Heading, PageBlock, SortableTable
from mfsweep.analysis.report.rows import fields, names

NUMBERS = (
    "gradient",
    "95 % interval",
    "least squares",
    "prefactor",
    "R²",
    "points",
    "pre-trainings",
    "capped",
    "verdict",
)


def blocks(law: Law) -> list[PageBlock]:
    """Return what is said of one law."""
    axes = law.points.group_by
    head = [*(names(axes) or ["group"]), *NUMBERS]
    rows: list[tuple[str, ...]] = []
    for row in law.as_rows():
        # A row that is of no group (the pooled line) has its name in the first column.
        own: list[str] = fields(row["values"], axes) if row["values"] else [row["group"], *[""] * (len(axes) - 1)]
        if row["gradient"] is None:
            rows.append((*own, "", "", "", "", "", str(row["n"]), "", "", row["reason"]))
            continue
        interval = span(row["ci_low"], row["ci_high"])
        plain = f"{row['least_squares']:.2f} ({span(row['least_squares_low'], row['least_squares_high'])})"
        numbers = [f"{row['gradient']:.2f}", interval, plain, f"{row['prefactor']:.3g}", f"{row['r2']:.3f}"]
        rows.append((*own, *numbers, *(str(row[name]) for name in ("n", "clusters", "capped")), row["verdict"]))
    caption = f"y = {law.points.y} against x = {law.points.x}"
    text = frozenset({*range(len(head) - len(NUMBERS)), len(head) - 1})
    summed = frozenset({POOLED, POOLED_CONVERGED})
    return [
        Heading(law.name),
        BulletList(law.sentences(groups=False)),
        SortableTable(caption, head, rows, text, summed),
    ]
