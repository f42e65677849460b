"""A comparison as CSV, LaTeX and Markdown."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from strategies import compared

from mfsweep.analysis.comparison.blocks import settle
from mfsweep.analysis.comparison.formats import names, printed, written

CURVES = {"direct": [(1, 50), (10, 20)], "pre_train & tune": [(1, 40), (10, 10)], "far": [(500, 3)]}


@pytest.fixture
def blocks():
    return settle(compared(CURVES)[0])


def test_csv_has_a_row_for_every_row_and_its_numbers(blocks):
    rows = list(csv.DictReader(io.StringIO(written(blocks, "csv", "meV/atom", is_gpu=False))))
    assert len(rows) == sum(len(block.rows) for block in blocks)
    for row, own in zip(rows, [own for block in blocks for own in block.rows], strict=True):
        assert row["strategy"] == own.strategy
        assert float(row["error"]) == own.error.value
        assert (row["ratio"] == "") == (own.claim is None)


def test_latex_is_escaped_and_every_row_has_all_columns(blocks):
    text = written(blocks, "latex", "meV/Å", is_gpu=True)
    assert "pre\\_train \\& tune" in text
    assert "\\AA{}" in text
    assert "GPU-" in text
    columns = len(names(blocks, "meV/atom"))
    body = [line for line in text.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {columns - 1}
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1


def test_in_latex_what_text_would_print_as_something_else_is_in_mathematics(blocks):
    rows = [replace(row, claim=row.claim and replace_p(row.claim), strategy="a<b|c^2\\") for row in blocks[0].rows]
    text = written([replace(blocks[0], rows=rows)], "latex", "meV/atom", is_gpu=False)
    assert "$<$ 0.0001" in text
    assert "a$<$b$|$c\\textasciicircum{}2\\textbackslash{}" in text
    assert not re.search(r"[<>|](?!\$)", text)


def replace_p(claim):
    return claim.model_copy(update={"p": 1e-9, "adjusted_p": 1e-9})


def test_markdown_tables_are_as_wide_as_their_heads(blocks):
    text = written(blocks, "markdown", "meV/atom", is_gpu=False)
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len(names(blocks, "meV/atom")) + 1}


def test_budgets_of_one_reference_share_a_table(blocks):
    block = replace(blocks[0], basis="labels")
    other = replace(block, budget="more")
    assert [len(table.rows) for table in printed([block, other])] == [2 * len(block.rows) - 1]
    assert len(printed(blocks)) == len(blocks)
