"""A comparison as the text of one table: CSV for machines, LaTeX and Markdown for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from mfsweep.analysis.comparison.blocks import EQUAL, ComparedBlock, ComparedRow
from mfsweep.analysis.comparison.label_words import labels_text
from mfsweep.analysis.comparison.words import duration, ratio_text, verdict_text
from mfsweep.report_records import ClaimRecord

TableFormat = Literal["csv", "latex", "markdown"]
TEXT = frozenset({0, 1, 7})
"""Columns of a printed table that hold text."""
FOLDED = frozenset({0, 1})
"""Those that may be broken into lines."""
SHORT = (0, 1, 2, 4, 5, 7)
"""Those that a terminal shows."""
LONG_NAME = 24
"""Letters of a name beyond which a column's head leaves it out: it is that of the first row."""
SMALLEST = 1e-4
"""p-value below which only that is said."""
_IN_LATEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {letter: f"${letter}$" for letter in "<>|"}
    | {"\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "Å": "\\AA{}"}
)
"""Letter -> how it is written in LaTeX text, in any font encoding."""


def written(blocks: Sequence[ComparedBlock], form: TableFormat, unit: str, *, is_gpu: bool) -> str:
    """Return the table in one form.

    Args:
        blocks: of a comparison.
        form: csv, latex or markdown.
        unit: of the errors.
        is_gpu: whether training times are of GPUs.
    """
    if form == "csv":
        return _csv(blocks)
    return (_latex if form == "latex" else _markdown)(blocks, unit, is_gpu=is_gpu)


def names(blocks: Sequence[ComparedBlock], unit: str) -> tuple[str, ...]:
    """Return the columns of a printed table."""
    against = dict.fromkeys(row.against for block in blocks for row in block.rows if row.against)
    named = " or ".join(against)
    beside = f"ratio to {named} (95 %)" if len(named) <= LONG_NAME else "ratio (95 %)"
    return "strategy", "labels", f"error, {unit}", "replicates", "training", beside, "adjusted p", "error"


def fields(row: ComparedRow, *, is_gpu: bool) -> tuple[str, ...]:
    """Return a row of a printed table, in the order of `names`."""
    error = row.error
    return (
        row.strategy,
        labels_text(row.labels) if row.labels else row.note,
        "" if error is None else f"{error.value:.3g}",
        "" if error is None else f"{error.replicates}: {error.low:.3g} to {error.high:.3g}",
        "" if row.seconds is None else duration(row.seconds, is_gpu=is_gpu),
        ("1" if error else "") if row.claim is None else ratio_text(row.claim),
        "" if row.claim is None else _p_text(row.claim),
        " ".join(part for part in (verdict_text(row), "*" if row.may_be_best else "") if part),
    )


class PrintedTable(NamedTuple):
    """One printed table: a block, or those with equal labels of the target, whose first row they share."""

    title: str
    blocks: list[ComparedBlock]

    @property
    def rows(self) -> list[ComparedRow]:
        """Return the rows, one that stands in several blocks once."""
        first, *others = self.blocks
        return [*first.rows, *(row for block in others for row in block.rows[1:])]


def printed(blocks: Sequence[ComparedBlock]) -> list[PrintedTable]:
    """Return the tables to be printed."""
    tables: list[PrintedTable] = []
    for block in blocks:
        before = tables[-1].blocks[-1] if tables else None
        if before and block.basis == before.basis == "labels" and block.rows[0].alike(before.rows[0]):
            tables[-1].blocks.append(block)
        else:
            tables.append(PrintedTable("", [block]))
    return [table._replace(title=_title(table.blocks)) for table in tables]


def _title(blocks: Sequence[ComparedBlock]) -> str:
    first = blocks[0]
    budget = (
        first.budget
        if len(blocks) == 1
        else f"{labels_text(first.rows[0].labels)} labels, alone or with auxiliary ones"
    )
    title = f"{EQUAL[first.basis]}: {budget}"
    return f"{title} ({first.family})" if first.family else title


def _csv(blocks: Sequence[ComparedBlock]) -> str:
    columns: dict[str, Callable[[ComparedBlock, ComparedRow], object]] = {
        "equal": lambda block, _: block.basis,
        "budget": lambda block, _: block.budget,
        "family": lambda block, _: block.family,
        "strategy": lambda _, row: row.strategy,
        "labels": lambda _, row: labels_text(row.labels) if row.labels else "",
        "error": lambda _, row: row.error and row.error.value,
        "error_low": lambda _, row: row.error and row.error.low,
        "error_high": lambda _, row: row.error and row.error.high,
        "replicates": lambda _, row: row.error.replicates if row.error else 0,
        "device_seconds": lambda _, row: row.seconds,
        "against": lambda _, row: row.against,
        "ratio": lambda _, row: row.claim and row.claim.estimate,
        "ratio_low": lambda _, row: row.claim and row.claim.low,
        "ratio_high": lambda _, row: row.claim and row.claim.high,
        "p": lambda _, row: row.claim and row.claim.p,
        "adjusted_p": lambda _, row: row.claim and row.claim.adjusted_p,
        "told": lambda _, row: verdict_text(row),
        "may_be_best": lambda _, row: str(row.may_be_best).lower(),
        "note": lambda _, row: row.note,
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([column(block, row) for column in columns.values()] for block in blocks for row in block.rows)
    return text.getvalue()


def _p_text(claim: ClaimRecord) -> str:
    p = claim.p if claim.adjusted_p is None else claim.adjusted_p
    return "" if p is None else f"{p:.2g}" if p >= SMALLEST else f"< {SMALLEST:g}"


def _markdown(blocks: Sequence[ComparedBlock], unit: str, *, is_gpu: bool) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    lines: list[str] = []
    for table in printed(blocks):
        columns = names(table.blocks, unit)
        sides = ["---" if number in TEXT else "---:" for number in range(len(columns))]
        lines += [f"**{table.title}**", "", line(columns), line(sides)]
        lines += [*(line(fields(row, is_gpu=is_gpu)) for row in table.rows), ""]
    return "\n".join(lines)


def _latex(blocks: Sequence[ComparedBlock], unit: str, *, is_gpu: bool) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(map(_escaped, cells))} \\\\"

    columns = names(blocks, unit)
    sides = "".join("l" if number in TEXT else "r" for number in range(len(columns)))
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{sides}}}", "\\toprule", line(columns)]
    for table in printed(blocks):
        lines += ["\\midrule", f"\\multicolumn{{{len(columns)}}}{{l}}{{{_escaped(table.title)}}} \\\\"]
        lines += [line(fields(row, is_gpu=is_gpu)) for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _escaped(text: str) -> str:
    return text.translate(_IN_LATEX)
