"""What to buy by the cells of a spec: its costs, its errors, and what a user may get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from finished import finish
from nbclient import NotebookClient

import mfsweep
from mfsweep.cli.main import main
from mfsweep.errors import FitError
from mfsweep.sweep.budget import BudgetOptions
from mfsweep.sweep.results import analyse
from mfsweep.sweep.until import ending_of, foreseen

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_core_hours.ipynb"
COSTS = "figures: {cost: {kind: pareto, y: result.test.cc.energy_mae, costs: {cc: 10, dft: 0.1}}}\nresources:"
GRID = ("pretrain_size: [0, 20, 40]", "pretrain_size: [0, 20, 40, 80]"), ("[20, 60]", "[20, 40, 60]")


def error(node):
    """Return a test error that pre-training lowers, a little off the law."""
    size = node.training.sets[0].end
    at = 100.0 if node.parent is None else 60.0
    return at * size**-0.4 * (1 + 0.02 * np.sin(len(node.key) + size)) * (0.8 if node.parent else 1.0)


WRONG = [
    ({"budget": float("nan")}, r"--budget: expected a number above 0, at most 1e\+15, got nan"),
    ({"budget": 0}, "--budget: expected a number above 0, .* got 0"),
    ({"budget": 1e308}, r"--budget: expected a number above 0, at most 1e\+15, got 1e\+308"),
    ({"reach": 0.5}, "--reach: expected a number from 1 to 1000, got 0.5"),
    ({"reach": 1e9}, "--reach: expected a number from 1 to 1000"),
    ({"budget": float("inf")}, "--budget: expected a number above 0, .* got inf"),
    ({"costs": {"cc": 0, "dft": 0}, "hour": 0}, "every label and all training cost nothing"),
    ({"hour": -1}, r"--hour: expected a number from 0 to 1e\+15, got -1"),
    ({"costs": {"cc": -1}}, "--cost cc: expected a number from 0 to "),
    ({"costs": {"cc": 1e300}}, "--cost cc: expected a number from 0 to "),
    ({"costs": {"ccc": 1}}, r"--cost ccc: no label method of the spec \(cc, dft, xtb\).*Did you mean 'cc'"),
    ({"unit": "EUR"}, "--unit EUR: the costs of labels are in core-seconds"),
    ({"unit": "EUR", "costs": {"cc": 1}}, r"no cost of a dft label is known \(there are cc\)"),
    ({"targets": ["cc=1 furlong"]}, "unit 'furlong'"),
    ({"targets": ["pbe=1 meV/atom"]}, "result.test.pbe.energy_mae: the trained stages have no such metric"),
    ({"error": "result.test.cc"}, "'result.test.cc' is not the path of a metric"),
    ({"budget": 1e-6}, "buy nothing that these cells can speak of: one cc label costs 10"),
]


@pytest.fixture
def swept(write_spec, tmp_path):
    """Give a finished sweep, made of the small spec with some changes."""

    def make(*changes):
        made = mfsweep.Sweep(str(write_spec(*GRID, *changes)), str(tmp_path / "store"))
        plan = made.plan()
        plan.store.prepare()
        finish(plan, error)
        return made

    return make


def test_a_sweep_says_what_to_buy_by_the_costs_of_its_spec(swept):
    advice = swept(("resources:", COSTS)).budget(targets=["cc=1000meV/atom"])
    decision = advice.decision
    assert decision.prices.unit == "core-seconds"
    assert decision.budget == pytest.approx(max(one.cost for one in decision.trained))
    assert set(advice.parts) == {"What to buy", "How sure", "What would change it", "What it rests on"}
    (target,) = advice.targets
    assert target.even.cost == min(one.cost for one in decision.trained), "the cheapest design is good enough"
    rests = advice.parts["What it rests on"]
    assert any("(figure 'cost' of the spec)" in text for text in rests)
    assert any(text.startswith("Energy offsets are fixed") for text in rests)
    assert any(text.startswith("Validation labels are not counted: ") for text in rests)


def test_costs_may_be_given_and_another_unit_asked_for(swept):
    sweep = swept(("resources:", COSTS))
    hours = sweep.budget(0.1, unit="core-hours").decision
    assert hours.prices.labels["cc"] == pytest.approx(10 / 3600)
    euro = sweep.budget(1000, unit="EUR", costs={"cc": 5, "dft": 1}, hour=0).decision
    assert (euro.prices.labels, euro.best.training) == ({"cc": 5, "dft": 1}, 0)
    own = sweep.budget(costs={"dft": 50}).decision
    assert own.prices.labels == {"cc": 10, "dft": 50}
    assert swept().budget(1, costs={"cc": 0.01, "dft": 0.001}).decision.prices.unit == "core-hours"


def test_what_a_user_may_get_wrong_is_a_sentence(swept):
    sweep = swept(("resources:", COSTS))
    for options, said in WRONG:
        with pytest.raises(FitError, match=said):
            sweep.budget(**options)


def test_the_largest_budget_is_answered(swept):
    decision = swept(("resources:", COSTS)).budget(1e15).decision
    assert decision.front[-1].cost <= 1e16
    assert decision.regret >= 0


def test_without_costs_it_is_said_how_to_give_them(swept):
    sweep = swept()
    with pytest.raises(FitError, match="no cost of a label is known: --cost METHOD=NUMBER for cc, dft"):
        sweep.budget(10)
    advice = analyse(sweep.plan()).analysis.advice
    assert advice.startswith("no cost of a label is known: `costs:` in a figure of kind pareto")


def test_a_sweep_that_trains_on_no_label_of_its_target_says_so(swept):
    sweep = swept(
        ("[0, 20, 40, 80]", "[20, 40, 80]"),
        ("result: finetune", "result: pretrain"),
        ("evaluate: [{labels: cc, subset: t}]", "evaluate: [{labels: cc, subset: t, head: dft}]"),
        ("result.test.cc.energy_mae", "result.test.cc@dft.energy_mae"),
        ("resources:", COSTS.replace("test.cc.", "test.cc@dft.")),
    )
    said = "no cell trains on cc labels, which result.test.cc@dft.energy_mae is an error of"
    with pytest.raises(FitError, match=said):
        sweep.budget(1000)
    with pytest.raises(FitError, match=said):
        foreseen(sweep.plan(), ending_of("budget.regret < 5 %", [sweep.plan()], BudgetOptions(budget=1000)))
    assert analyse(sweep.plan()).analysis.advice.startswith(said)


def test_the_report_begins_with_the_decision(swept, tmp_path):
    page = swept(("resources:", COSTS)).results().write_report(tmp_path / "out").read_text(encoding="utf-8")
    first = page.index("What to buy")
    assert page.index("Decision") < first < page.index("cells finished")
    assert page.index("core-seconds, buy ") < page.index("Decision"), "the box on top says it first"
    assert "decision.front" in {path.stem for path in (tmp_path / "out" / "figures" / "details").iterdir()}


@pytest.mark.parametrize("trained", [True, False])
def test_the_command_prints_sentences_and_json(swept, write_spec, tmp_path, capsys, trained):
    if trained:
        swept(("resources:", COSTS))
    spec, store = write_spec(*GRID, ("resources:", COSTS)), tmp_path / "store"
    store.mkdir(exist_ok=True)
    (store / "stages").mkdir(exist_ok=True)
    command = ["budget", str(spec), "--store", str(store)]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--budget", "0.2", "--unit", "core-hours", "--target", "cc=5meV/atom"])
    said = capsys.readouterr()
    if not trained:
        assert ended.value.code == 2
        assert "none of 12 cells is trained yet: `mfsweep run` trains them" in said.err
        return
    assert ended.value.code == 0
    assert "Of 0.2 core-hours, buy " in said.out
    with pytest.raises(SystemExit) as ended:
        main([*command, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.code, found["metric"]) == (0, "result.test.cc.energy_mae")
    assert found["recommended"]["cost"] <= found["budget"] * (1 + 1e-9)


def test_a_cost_that_is_no_number_is_refused_by_the_command(write_spec, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["budget", str(write_spec()), "--cost", "cc"])
    assert ended.value.code == 2
    assert "'cc': expected METHOD=NUMBER" in capsys.readouterr().err


def test_an_earlier_decision_is_held_against_the_cells_of_now(swept, tmp_path, capsys):
    sweep = swept(("resources:", COSTS))
    money = ["--budget", "0.2", "--unit", "core-hours"]
    command = ["budget", str(sweep.spec), "--store", str(tmp_path / "store"), *money, "--json"]
    with pytest.raises(SystemExit):
        main(command)
    text = capsys.readouterr().out
    path = tmp_path / "before.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--against", str(path)])
    assert not ended.value.code
    against = json.loads(capsys.readouterr().out)["against"]
    assert against["loss"] == pytest.approx(0, abs=1e-9), "it is the same decision"
    found = json.loads(text)
    other = found["best_trained"]
    path.write_text(json.dumps(found | {"recommended": other}))
    advice = sweep.budget(0.2, unit="core-hours", against=path)
    assert advice.earlier.loss >= 0, "nothing within the budget is better"
    assert any("The decision in before.json" in text for text in advice.parts["How sure"])
    for changed, said in (
        ({"budget": 7.0}, "its budget is 7.0, and here it is 0.2"),
        ({"metric": "x"}, "its metric is x, and here it is result.test.cc.energy_mae"),
        (
            {"recommended": other | {"way": {"strategy": "pre-traning", "method": "dft"}}},
            "Did you mean 'pre-training o",
        ),
        ({"recommended": {"n_pre": 3}}, "recommended.way: Field required"),
    ):
        path.write_text(json.dumps(found | changed))
        with pytest.raises(FitError, match=said):
            sweep.budget(0.2, unit="core-hours", against=path)
    path.write_text("{")
    with pytest.raises(FitError, match="the file: Invalid JSON"):
        sweep.budget(0.2, unit="core-hours", against=path)
    with pytest.raises(FitError, match="No such file or directory; expected a file with what `mfsweep budget SPEC"):
        sweep.budget(0.2, unit="core-hours", against=tmp_path / "none.json")


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    store = tmp_path / "store"
    plan = mfsweep.Sweep(NOTEBOOK.parents[1] / "search_spaces" / "mini" / "figS4.yaml", store).plan()
    plan.store.prepare()
    finish(plan, error)
    monkeypatch.setenv("MFSWEEP_STORE", str(store))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in stored[1:])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    said = "".join(out.get("text", "") for cell in stored for out in cell.outputs)
    assert "Of 2,000 core-hours, buy " in said
    assert "DFT at   3 times its price" in said
