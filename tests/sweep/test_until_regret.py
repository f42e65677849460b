"""A run until the regret of a decision is small, its trainings taken as done; and what a user may get wrong."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from finished import finish

from mfsweep.cli.main import main
from mfsweep.errors import FitError, SpecError
from mfsweep.plan.graph import StageGraph
from mfsweep.prepare import prepare
from mfsweep.sweep import results
from mfsweep.sweep.budget import BudgetOptions
from mfsweep.sweep.until import Until, ending_of, foreseen

GRID = ("[0, 20, 40]", "[0, 20, 40, 80, 160]"), ("[20, 60]", "[20, 30, 60]\n  seed: [0, 1, 2, 3, 4, 5]")
COSTS = "figures: {cost: {kind: pareto, y: result.test.cc.energy_mae, costs: {cc: 10, dft: 1}}}\nresources:"
PRICED = ("resources:", COSTS)
CONDITION = "budget.regret < {} %"
MONEY = BudgetOptions(budget=500.0)


@pytest.fixture
def plan(write_spec, store):
    return prepare(write_spec(*GRID, PRICED), store.root)


def planted(node, spread=0.05):
    """Return the error of a stage that fine-tuning and pre-training lower as powers of their sizes."""
    chance = random.Random(node.key).gauss(0, spread)
    log = math.log(300) - 0.4 * math.log(node.training.sets[0].end) + chance
    return math.exp(log - 0.25 * math.log(node.values.get("pretrain_size") or 1))


def begin(plan, percent, options=MONEY):
    said: list[str] = []
    return Until(plan, ending_of(CONDITION.format(percent), [plan], options), said.append), said


def run(until, error=planted):
    """Train all that is chosen until the run ends."""
    while until.record.met is None:
        finish(until.plan, error)
        until.advance(until.plan.graph.nodes)


def trained(store):
    return {folder.key for folder in store.stages() if folder.record() is not None}


def test_a_run_ends_when_the_decision_loses_little_and_says_what_it_took(plan, store):
    until, said = begin(plan, 5)
    first = [planned.cell.values for planned in until.plan.graph.cells]
    assert {values["pretrain_size"] for values in first} == {0, 20, 40, 160} or len(first) < len(plan.graph.cells) / 2
    assert {values["finetune_size"] for values in first} == {20, 60}, "the ends"
    assert len({values["seed"] for values in first}) == 2
    assert said[0].startswith("round 1 until budget.regret < 5 %: no decision yet; ")
    assert "identify the model" in said[0]
    run(until)
    assert until.record.met
    assert until.record.looks[-1].high < 0.05
    assert until.record.looks[-1].value < until.record.looks[-1].high
    assert "met. Of 500 core-seconds, buy " in until.record.outcome
    assert trained(store) == set(until.plan.graph.nodes)
    assert len(trained(store)) < len(plan.graph.nodes)
    assert results.analyse(plan.again()).conclusions[-1] == f"--until {until.record.outcome}"

    again, said = begin(plan.again(), 5)
    assert (again.record.met, again.record.outcome) == (True, until.record.outcome)
    assert len(again.record.looks) == len(until.record.looks), "the same records are no new look"
    assert not said
    assert foreseen(plan.again(), ending_of(CONDITION.format(5), [plan], MONEY)) == [until.record.outcome]


def test_a_smaller_limit_goes_on_and_another_budget_begins_anew(plan, store):
    until, _ = begin(plan, 5)
    run(until)
    before = trained(store)
    smaller, said = begin(plan.again(), 0.8)
    assert smaller.record.looks[: len(until.record.looks)] == until.record.looks
    run(smaller)
    assert before < trained(store)
    assert "expected" in said[0], "each choice says what it is expected to give"
    other, _ = begin(plan.again(), 5, BudgetOptions(budget=900.0))
    assert len(other.record.looks) == 1
    assert other.record.options == ["--budget", "900"]


def test_what_the_whole_grid_cannot_tell_ends_before_it_is_trained(plan, store):
    until, _ = begin(plan, 0.01)
    run(until, lambda node: planted(node, 0.4))
    assert until.record.met is False
    assert "cannot be met within this grid, all of it is expected to bring the loss below with" in until.record.outcome
    assert len(trained(store)) < len(plan.graph.nodes)
    finish(plan, lambda node: planted(node, 0.4))
    until, _ = begin(plan.again(), 0.01)
    assert "all of it is trained, and the loss is below with a probability of" in until.record.outcome


def test_with_few_degrees_of_freedom_the_bound_is_told_and_no_expected_loss(write_spec, store):
    plan = prepare(write_spec(("[0, 20, 40]", "[20, 40, 80]"), PRICED), store.root)
    until, _ = begin(plan, 1)
    run(until, lambda node: planted(node, 0.4))
    look = until.record.looks[-1]
    assert look.value is None
    assert math.isfinite(look.high)
    assert "(too few cells to tell the expected loss)" in until.record.outcome
    assert "on average" not in until.record.outcome
    standing = until._aim.standing
    few = "too few cells to tell the expected loss, below 50.00% with 97.5% probability"
    assert standing(look.model_copy(update={"high": 0.5})) == few
    assert standing(look.model_copy(update={"value": 0.2, "high": 1e9})) == "loss 20.00%, perhaps more than 1,000%"


def test_a_replicate_that_fails_is_replaced_by_another(plan):
    until, _ = begin(plan, 5)
    nodes = list(until.plan.graph.nodes.values())
    failed = {node.key for node in nodes if node.values["seed"] == nodes[0].values["seed"]}
    done = {node.key: node for node in nodes if node.key not in failed}
    finish(replace(until.plan, graph=StageGraph(done, [])), planted)
    until.advance(until.plan.graph.nodes)
    assert until.record.met is None
    assert until._pending
    assert not until._pending & failed, "what has failed is not tried again in this run"
    run(until)
    assert until.record.met


def test_cells_that_did_not_converge_end_it_with_the_reason(plan):
    until, _ = begin(plan, 5)
    finish(until.plan)
    until.advance(until.plan.graph.nodes)
    assert until.record.met is False
    assert "not to be told. none of " in until.record.outcome
    assert "has converged" in until.record.outcome


WRONG = [
    (BudgetOptions(), SpecError, "got no --budget, expected --budget NUMBER"),
    (BudgetOptions(budget=-1), FitError, "--budget: expected a number above 0, .* got -1"),
    (BudgetOptions(budget=1), FitError, "1 core-seconds buy nothing .* the labels of the cheapest cost 200"),
    (BudgetOptions(budget=500, unit="EUR"), FitError, "--unit EUR: the costs of labels are in core-seconds"),
    (BudgetOptions(budget=500, unit="EUR", costs={"cc": 1}), FitError, "no cost of a dft label is known"),
    (BudgetOptions(budget=500, costs={"ccc": 1}), FitError, "--cost ccc: no label method .* Did you mean 'cc'"),
    (BudgetOptions(budget=500, costs={"cc": 0, "dft": 0}, hour=0), FitError, "there is nothing to decide"),
    (BudgetOptions(budget=500, error="result.test.cc.energy_mea"), FitError, "energy_m"),
    (BudgetOptions(budget=500, error="result.test.pbe.energy_mae"), FitError, "no result will have it; they will have"),
    (BudgetOptions(budget=500, reach=0.5), FitError, "--reach: expected a number from 1 to 1000"),
    (BudgetOptions(budget=500, targets=("cc=1meV/atom",)), SpecError, "got a target error"),
]


@pytest.mark.parametrize(("options", "kind", "said"), WRONG)
def test_what_a_user_may_get_wrong_is_said_before_anything_is_trained(plan, options, kind, said):
    with pytest.raises(kind, match=said):
        ending_of(CONDITION.format(5), [plan], options)


def test_a_grid_that_tells_nothing_of_sizes_is_refused(write_spec, store):
    one = write_spec(("[0, 20, 40]", "[40]"), ("[20, 60]", "[20]\n  seed: [0, 1, 2, 3]"), PRICED, name="one.yaml")
    with pytest.raises(SpecError, match="no part of this grid tells how errors follow sizes: it has 4 cells of pre-"):
        ending_of(CONDITION.format(5), [prepare(one, store.root)], MONEY)
    free = prepare(write_spec(*GRID, name="free.yaml"), store.root)
    with pytest.raises(FitError, match="no cost of a label is known: --cost METHOD=NUMBER for cc, dft"):
        ending_of(CONDITION.format(5), [free], MONEY)


def test_the_command_says_what_it_would_begin_with_and_refuses_options_without_a_use(write_spec, tmp_path, capsys):
    command = ["plan", str(write_spec(*GRID)), "--store", str(tmp_path / "store")]
    costs = ["--cost", "cc=10", "--cost", "dft=1", "--unit", "EUR", "--budget", "500"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--until", "budget.regret < 5 %", *costs, "--json"])
    assert not ended.value.code
    lines = json.loads(capsys.readouterr().out)["until"]
    assert lines[0].startswith("round 1 until budget.regret < 5 %: no decision yet; ")
    assert lines[-1].startswith("What follows depends on what these measure; all 90 cells of the decision cost ")
    for more, said in (
        (["--until", "budget.regret < 5 %"], "got no --budget"),
        (costs, "--budget, --unit, --cost without --until"),
        (["--until", "budget.regret < 5 %", "--budget", "much"], "'much' is not a valid float"),
        (["--until", "transfer.gradient.half_width < 1", "--unit", "EUR"], "got --unit, which is of `budget.regret`"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, *more])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err.replace("\n", " ")
