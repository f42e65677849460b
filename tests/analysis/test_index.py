from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from mfsweep.analysis.index import write_index
from mfsweep.analysis.report import write_report
from mfsweep.analysis.study import ReportStudy
from mfsweep.errors import StoreError
from mfsweep.spec.figures import Claim, Figure

Y = "result.test.cc.energy_mae"
CLAIMS = {
    "helps": {
        "says": "DFT | helps <much>", "y": Y, "this": {"pretrain_size": 1000}, "against": {"pretrain_size": 0},
        "expect": "lower", "recommends": "pre-train",
    },
    "equal": {
        "says": "sizes do not matter", "y": Y, "this": {"finetune_size": 30}, "against": {"finetune_size": 120},
        "expect": "equal",
    },
}  # fmt: skip


def report(world, name, figures):
    study = ReportStudy(
        name, "name: x", world.cells,
        figures=TypeAdapter(dict[str, Figure]).validate_python(figures),
        claims=TypeAdapter(dict[str, Claim]).validate_python(CLAIMS),
    )  # fmt: skip
    folder = world.store.sweep(name)
    folder.write_cells(world.cells)
    write_report(world.store, study, folder)
    return folder


GRID = {"kind": "grid", "y": Y, "title": "the grid"}
TABLE = {"kind": "table", "rows": ["pretrain_size"], "columns": [Y]}


def test_the_index_needs_the_reports_alone(world):
    world.grid({"dft": 0.5}, seeds=(0, 1, 2), noise=0.01)
    report(world, "one", {"grid": GRID, "table": TABLE})
    report(world, "two", {})
    path = write_index(world.store)
    text = path.read_text(encoding="utf-8")
    assert path == world.store.root / "sweeps" / "index.html"
    assert 'src="one/figures/grid.png"' in text
    assert (path.parent / "one/figures/grid.png").exists()
    assert 'src="two/figures/error.test.cc.energy_mae.png"' in text
    assert "table.png" not in text
    stages = {key for cell in world.cells for key in cell.stages.values()}
    assert f"{len(world.cells)} cells, {len(stages)} stages; 2 claims: 1 agree, 1 disagree" in text
    assert f"<b>{len(stages)}</b> stages</li>" in text, "two reports share their stages"
    assert "DFT | helps &lt;much&gt;" in text


def test_claims_and_recommendations_are_markdown_tables(world):
    world.grid({"dft": 0.5}, seeds=(0, 1, 2), noise=0.01)
    report(world, "one", {"grid": GRID})
    write_index(world.store, ["one"])
    claims, advice = (world.store.root / "sweeps" / "claims.md").read_text(encoding="utf-8").split("\n## ")
    lines = claims.splitlines()
    assert lines[2:4] == [
        "| experiment | stated | came out here | p (adjusted) | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    assert lines[4].startswith(f"| one | DFT \\| helps <much> | ratio of {Y} 0.")
    assert "(6 pairs over 3 seeds of one partition) |" in lines[4]
    assert lines[4].endswith("| agree |")
    assert "| pre-train | one: DFT \\| helps <much> |" in advice
    assert "sizes do not matter" not in advice


def test_claims_of_all_reports_are_one_suite_and_one_result_counts_once(world):
    world.grid({"dft": 0.5}, seeds=(0, 1, 2), noise=0.1)
    report(world, "one", {"grid": GRID})
    write_index(world.store)
    alone = (world.store.root / "sweeps" / "claims.md").read_text(encoding="utf-8")
    report(world, "two", {"grid": GRID})
    write_index(world.store)
    both = (world.store.root / "sweeps" / "claims.md").read_text(encoding="utf-8")
    assert "2 statements about 2 results" in alone
    assert "4 statements about 2 results" in both
    assert both.count("the same result as in one") == 2 + both.count("| pre-train | two:")
    for line in alone.splitlines():
        if line.startswith("| one |"):
            assert line in both, "the same p-values, adjusted for two results"


def test_what_a_later_report_does_not_draw_any_more_goes(world):
    world.grid({"dft": 0.5})
    folder = report(world, "one", {"grid": GRID, "table": TABLE})
    mine = folder.figures / "mine.png"
    mine.write_bytes(b"a picture of somebody's")
    assert {path.name for path in folder.figures.glob("*.*")} == {"grid.png", "grid.svg", "table.csv", "mine.png"}
    stale = folder.figures / "details" / "stale.svg"
    stale.write_text("<svg/>")
    report(world, "one", {"table": TABLE})
    assert {path.name for path in folder.figures.glob("*.*")} == {"table.csv", "mine.png"}
    assert [path.name for path in stale.parent.iterdir()] == ["learning.pretrain.dft.svg"]
    assert [one.stem for one in folder.drawn()] == ["table"]


def test_a_sweep_without_a_report_is_refused_by_name_and_skipped_else(world):
    world.grid({"dft": 0.5})
    world.store.sweep("unfinished").write_cells(world.cells)
    report(world, "one", {"grid": GRID})
    assert "unfinished" not in write_index(world.store).read_text(encoding="utf-8")
    with pytest.raises(StoreError, match="run `mfsweep report` on the spec named 'unfinished' first"):
        write_index(world.store, ["one", "unfinished"])
