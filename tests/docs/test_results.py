"""docs/results.md: its tables are of the specs as they stand, and are written from reports."""

import re
from pathlib import Path

import pytest
import results_tables
from results_tables import SUITES, compared, stated, updated

from mfsweep import fit_transfer
from mfsweep.analysis.index import ReportEntry
from mfsweep.report_records import ClaimRecord, FigureRecord
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
        "Before.\n<!-- begin mini/fig3 -->\nold\n<!-- end -->\nBetween.\n"
        "<!-- begin mini/fig9 -->\nof another store\n<!-- end -->\nAfter.\n"
    )
    found = suites(claim("agree"), claim("cannot tell", name="many", needed=7))
    made = updated(page, found)
    assert "old" not in made
    assert "of another store" in made
    assert re.findall(r"^(?:Before|Between|After)\.$", made, re.MULTILINE) == ["Before.", "Between.", "After."]
    assert "| few labels help | ratio 0.50 (0.40 to 0.60) | **agree** |" in made
    partial = suites(claim("agree", detail="4 pairs over 4 folds, 1 cell left out that not every replicate has"))
    assert "| **agree**: 4 pairs over 4 folds, 1 cell left out" in updated(page, partial)
    assert "![The law](figures/results/mini-fig3-law.png)" in made
    assert updated(made, found) == made


@pytest.mark.parametrize("page", [PAGE, (ROOT / "README.md").read_text()])
def test_what_compares_both_suites_is_made_of_the_rows_above(page):
    assert compared(page, stated(PAGE)) == page


def test_verdicts_of_the_page_are_read_without_what_would_decide_them():
    read = [one for suite in stated(PAGE).values() for one in suite]
    assert {one.verdict for one in read} == {"agree", "disagree", "cannot tell"}
    assert all(one.came_out.startswith(("ratio", "difference", "gradient", "not measured")) for one in read)


def test_laws_have_a_row_a_group_and_one_for_all():
    x = [1.0, 2.0, 4.0, 8.0, 16.0] * 4
    y = [3 * value**0.5 * (1 + 0.01 * (place % 3)) for place, value in enumerate(x)]
    group, replicate = [place // 10 for place in range(20)], [place // 5 for place in range(20)]
    law = fit_transfer(x, y, group=group, replicate=replicate)
    made = updated("<!-- begin mini_laws -->\n<!-- end -->\n", suites(), {("mini", "fig3"): [law]})
    assert [row[2] for row in rows(made)] == [*(line.group for line in law.lines), "all together"]
    assert all(row[4].startswith("0.5") and row[6] == "law" for row in rows(made))


def test_laws_of_experiments_that_are_not_in_the_store_stay():
    law = fit_transfer([1.0, 2.0, 4.0, 8.0] * 4, [1.0, 1.5, 2.1, 2.9] * 4, replicate=[p // 4 for p in range(16)])
    both = updated(
        "<!-- begin mini_laws -->\n<!-- end -->\n", suites(), {("mini", name): [law] for name in ("fig4", "fig9")}
    )
    anew = updated(both, suites(), {("mini", "fig3"): [law], ("mini", "fig9"): [law]})
    assert [row[1] for row in rows(anew)] == sorted(2 * ["fig3", "fig4", "fig9"])


def test_what_keeps_a_statement_from_a_verdict_stands_beside_it():
    capped = claim("cannot tell", usable=False, detail="3 of 4 cells capped")
    page = "<!-- begin mini/fig3 -->\n<!-- end -->\n"
    assert "cannot tell: 3 of 4 cells capped" in updated(page, suites(capped))


@pytest.mark.parametrize(
    ("block", "told"),
    [("mini/fig33", "is no experiment of mini, real"), ("elsewhere/fig3", "is no experiment"), ("mini/fig3", "anew")],
)
def test_a_block_that_is_not_of_its_spec_is_told(block, told):
    with pytest.raises(SystemExit, match=f"'{block}'.*{told}"):
        stated(
            f"<!-- begin {block} -->\n{results_tables.table(results_tables.HEAD, [('x', 'y', 'z')])}\n<!-- end -->\n"
        )


def test_every_suite_has_specs():
    for suite in SUITES:
        assert list((ROOT / "search_spaces" / suite).glob("*.yaml"))
