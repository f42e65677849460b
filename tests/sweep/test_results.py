"""What is shown of a finished sweep, on a store that another spec uses too."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from finished import evaluate, finish
from rich.console import Console

from mfsweep.analysis.kinds import grid, law
from mfsweep.cli.status import status_table
from mfsweep.prepare import prepare
from mfsweep.run import mirror
from mfsweep.sweep import results
from mfsweep.sweep import running as command
from mfsweep.sweep.status import status


@pytest.fixture
def finished(write_spec, store):
    """Give a function that plans the small spec on a store where all its stages have a record."""

    def plan(*changes):
        made = prepare(write_spec(*changes), store.root)
        finish(made)
        for node in made.graph.nodes.values():
            for evaluation in node.evaluations:
                evaluate(store, node, evaluation.but(subset="b"), 99.0)  # another spec's, of the same name
        return prepare(write_spec(*changes), store.root)

    return plan


def test_another_specs_evaluation_of_a_stage_is_nowhere_shown(finished, store):
    plan = finished()
    fine = [node for node in plan.graph.nodes.values() if node.name == "finetune"]
    expected = {node.key: 20.0 + number for number, node in enumerate(plan.graph.nodes.values(), 1) if node in fine}
    rows = {row.key: row.as_json()["evaluations"] for row in status(plan)}
    assert {key: rows[key]["test.cc"]["energy_mae"] for key in expected} == expected
    assert {
        key: mirror.final_metrics(store, plan.graph.nodes[key])["test.cc.energy_mae"] for key in expected
    } == expected
    (result,) = results.analyse(plan).analysis.results
    assert {one.key: one.error for one in result.outcomes} == expected


def test_the_cells_that_a_run_keeps_know_their_evaluations(finished, store):
    plan = finished()
    store.sweep("small").write_cells(plan.cells())
    for cell in store.sweep("small").cells():
        assert [one["subset"] for one in cell.evaluations["finetune"]] == ["t"]
        assert cell.evaluations.get("pretrain", []) == []


def test_a_fit_that_cannot_be_made_loses_neither_report_nor_figures_and_all_is_drawn_once(
    finished, monkeypatch, tmp_path
):
    # Whether a formula has several structures, only the data tell: this passes the plan, and no record has it.
    fit = "y: result.test.cc.energy_mae, group_by: [finetune_size]}\n"
    other = "  other: {x: pretrain.validation.energy_mae_within_formula, y: finetune.test.energy_mae}\n"
    plan = finished((fit, fit + other))
    drawn = []
    for module, name in ((grid, "error_figure"), (law, "law_figure")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, real=real, name=name: drawn.append(name) or real(*args))
    console = Console(record=True, width=200, file=io.StringIO())
    monkeypatch.chdir(tmp_path)
    written, _ = command._show_results(plan, console)
    assert {path.name for path in written} == {
        "error.test.cc.energy_mae.svg",
        "error.test.cc.energy_mae.png",
        "law.transfer.svg",
        "law.transfer.png",
        "report.html",
    }
    assert sorted(drawn) == ["error_figure", "law_figure"]
    assert "fit 'other' is refused" in console.export_text()
    assert "fit &#39;other&#39; is refused" in plan.store.sweep("small").report.read_text()


def test_derived_labels_have_no_residual_line(write_spec, store):
    shuffled = write_spec(("labels: dft, subset: b", "labels: {shuffled: dft}, subset: b"))
    assert results.analyse(prepare(shuffled, store.root)).study.residuals == []
    assert [one.method for one in results.analyse(prepare(write_spec(), store.root)).study.residuals] == ["dft"]


def test_status_marks_errors_above_those_of_energy_offsets_alone(finished):
    plan = finished()
    rows = status(plan)
    for factor, marked in ((0.5, True), (2.0, False)):
        table = status_table(replace(row, evaluations=_beside(row, factor)) for row in rows)
        assert any("!" in str(cell) for cell in table.columns[-1].cells) == marked
        assert bool(table.caption) == marked


def _beside(row, factor):
    """Return a stage's evaluations, with offsets alone a factor worse or better."""
    return {
        name: one.model_copy(update={"offsets_only": {"energy_mae": factor * one.metrics["energy_mae"]}})
        for name, one in row.evaluations.items()
    }
