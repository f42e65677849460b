from __future__ import annotations

from mfsweep.analysis.checkpoints import two_checkpoints
from mfsweep.analysis.records import Records
from mfsweep.analysis.report import write_report
from mfsweep.analysis.study import ReportStudy
from mfsweep.analysis.transfer import FitRequest

X, Y = "joint.validation.dft{}.energy_mae", "result.test.cc.energy_mae"


def joint(world, number, *, reason="converged", dft_step=140):
    metrics = {"validation.cc.energy_mae": 90.0, "validation.dft.energy_mae": 427.0 - 60 * number}
    best = {"validation.cc.energy_mae": 90.0, "validation.dft.energy_mae": 278.0 - 60 * number}
    key = world.stage(
        [("cc", "a", 40), ("dft", "b", 90 + number)],
        metrics=metrics,
        best_metrics=best,
        reasons={"cc": "converged", "dft": reason},
        best_steps={"dft": dft_step},
    )
    world.evaluate(key, "cc", {"energy_mae": 100.0 - 9 * number}, step=80)
    world.cell({"n": number}, {"joint": key}, {"joint": {"cc": 40, "dft": 90}}, result="joint")
    return key


def test_both_checkpoints_are_shown_where_they_differ(world):
    key = joint(world, 0, reason="improving")
    joint(world, 1, dft_step=80)
    (row,) = two_checkpoints(Records(world.store, world.cells), world.cells)
    assert (row.stage, row.key, row.head, row.ended) == ("joint", key, "dft", "improving")
    assert (row.selected_step, row.best_step, row.selected, row.best) == (80, 140, 427.0, 278.0)


def test_the_report_shows_both_and_its_law_rests_on_the_selected_one(world):
    for number in range(4):
        joint(world, number, reason="improving" if number == 0 else "converged")
    for name, at in (("one", ""), ("two", "@best")):
        folder = world.store.sweep(name)
        study = ReportStudy(name, "name: demo", world.cells, [FitRequest("law", X.format(at), Y)])
        (law,) = write_report(world.store, study, folder).laws
        text = folder.report.read_text(encoding="utf-8")
        assert "<h3>Checkpoints</h3>" in text
        assert "427.0" in text
        assert "278.0" in text
        assert max(point.x for point in law.points) == (427.0 if name == "one" else 278.0)
        assert [point.converged for point in law.points] == [True, True, True, False]
        apart = "x and y are of two checkpoints of one stage"
        assert any(apart in sentence for sentence in law.sentences()) == (name == "two")
        assert "<b>1</b> stopped with a head still improving" in text
        assert "schedule (dft still improving)" in text
