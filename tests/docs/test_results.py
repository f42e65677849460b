"""docs/results.md: its tables are of the specs as they stand, and are written from reports."""

import re
from pathlib import Path

import pytest
import results_tables
from results_tables import SUITES, written

from mfsweep import fit_transfer
from mfsweep.analysis.index import ReportEntry
from mfsweep.records import ClaimRecord, FigureRecord
from mfsweep.spec.load import load

ROOT = Path(results_tables.ROOT)
PAGE = (ROOT / "docs" / "results.md").read_text()
BLOCKS = dict(re.findall(r"<!-- begin ([\w/]+) -->\n(.*?)<!-- end -->", PAGE, re.DOTALL))
EXPERIMENTS = [name for name in BLOCKS if "/" in name]


def rows(block):
    return [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_statements_of_the_page_are_those_of_the_spec(name):
    claims = load(ROOT / "search_spaces" / f"{name}.yaml").experiment.claims
    assert [row[0] for row in rows(BLOCKS[name])] == [claim.says for claim in claims.values()]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_figures_of_the_page_are_there(name):
    for address in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", BLOCKS[name]):
        assert (ROOT / "docs" / address).is_file()


def claim(verdict, name="few", **fields):
    known = {"estimate": 0.5, "low": 0.4, "high": 0.6, "usable": True, "detail": "5 pairs", "recommends": "Label more"}
    return ClaimRecord(name=name, says="few labels help", measure="ratio of y", verdict=verdict, **{**known, **fields})


def suites(*claims):
    figure = FigureRecord(stem="law", caption="The law", kind="picture")
    cells = ()
    mini = {"fig3": ReportEntry("fig3", cells, 0, 0, (figure,), claims)}
    real = {"fig3": ReportEntry("real-fig3", cells, 0, 0, (), claims[:1])}
    return {"mini": mini, "real": real}


def test_blocks_are_written_anew_and_the_text_between_them_stays():
    page = (
        "Before.\n<!-- begin mini/fig3 -->\nold\n<!-- end -->\nBetween.\n<!-- begin differ -->\n<!-- end -->\nAfter.\n"
    )
    made = written(page, suites(claim("agree"), claim("cannot tell", name="many", needed=7)), Path("page.md"))
    assert "old" not in made
    assert re.findall(r"^(?:Before|Between|After)\.$", made, re.MULTILINE) == ["Before.", "Between.", "After."]
    assert "| few labels help | ratio 0.50 (0.40 to 0.60) | **agree** |" in made
    assert "![The law](figures/results/mini-fig3-law.png)" in made
    assert "| fig3 | few labels help | ratio 0.50 (0.40 to 0.60) | agree | ratio 0.50 (0.40 to 0.60) | agree |" in made
    assert written(made, suites(claim("agree"), claim("cannot tell", name="many", needed=7)), Path("page.md")) == made


def test_laws_have_a_row_a_group_and_one_for_all():
    x = [1.0, 2.0, 4.0, 8.0, 16.0] * 4
    y = [3 * value**0.5 * (1 + 0.01 * (place % 3)) for place, value in enumerate(x)]
    group, replicate = [place // 10 for place in range(20)], [place // 5 for place in range(20)]
    law = fit_transfer(x, y, group=group, replicate=replicate)
    made = written("<!-- begin laws -->\n<!-- end -->\n", suites(), Path("page.md"), {("mini", "fig3"): [law]})
    assert [row[2] for row in rows(made)] == [*(line.group for line in law.lines), "all together"]
    assert all(row[4].startswith("0.5") and row[6] == "law" for row in rows(made))


def test_what_keeps_a_statement_from_a_verdict_stands_beside_it():
    capped = claim("cannot tell", usable=False, detail="3 of 4 cells capped")
    page = "<!-- begin mini/fig3 -->\n<!-- end -->\n"
    assert "cannot tell: 3 of 4 cells capped" in written(page, suites(capped), Path("page.md"))


@pytest.mark.parametrize("name", ["mini/fig33", "elsewhere"])
def test_a_block_of_which_nothing_came_out_is_told(name):
    with pytest.raises(SystemExit, match=rf"page.md: nothing came out of '{name}'"):
        written(f"<!-- begin {name} -->\n<!-- end -->\n", suites(claim("agree")), Path("page.md"))


def test_every_suite_has_specs():
    for suite in SUITES:
        assert list((ROOT / "search_spaces" / suite).glob("*.yaml"))
