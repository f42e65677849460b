"""A run until a condition, its trainings taken as done: rounds, ends, and going on."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from finished import finish

from mfsweep.errors import SpecError, StoreError
from mfsweep.plan.condition import parse
from mfsweep.plan.graph import StageGraph
from mfsweep.prepare import prepare
from mfsweep.records import LookRecord
from mfsweep.sweep import results
from mfsweep.sweep.aims import GradientAim
from mfsweep.sweep.budget import BudgetOptions
from mfsweep.sweep.until import RunEnding, Until, ending_of, foreseen, opened

GRID = ("[0, 20, 40]", "[0, 20, 40, 80, 160]"), ("[20, 60]", "[20, 60]\n  seed: [0, 1, 2, 3, 4, 5]")
CONDITION = "transfer.gradient.half_width < {}"


@pytest.fixture
def plan(write_spec, store):
    return prepare(write_spec(*GRID), store.root)


def planted(node, spread=0.05):
    """Return the error of a stage by a law of gradient 0.9."""
    chance = random.Random(node.key).gauss(0, spread)
    size = node.values.get("pretrain_size") or 1
    log_x = math.log(300) - 0.4 * math.log(size) + chance
    return math.exp(log_x if node.name == "pretrain" else 0.9 * (log_x - chance) + chance)


def begin(plan, target):
    said: list[str] = []
    return Until(plan, ending(plan, target), said.append), said


def ending(plan, target):
    return RunEnding(parse(CONDITION.format(target), plan.spec), BudgetOptions())


def run(until, error=planted):
    """Train all that is chosen until the run ends."""
    rounds = 0
    while until.record.met is None:
        finish(until.plan, error)
        until.advance(until.plan.graph.nodes)
        rounds += 1
    return rounds


def trained(store):
    return {folder.key for folder in store.stages() if folder.record() is not None}


def test_a_run_ends_when_its_law_is_narrow_enough_and_says_what_it_took(plan, store):
    until, said = begin(plan, 0.3)
    first = [planned.cell.values for planned in until.plan.graph.cells]
    assert {values["pretrain_size"] for values in first} >= {20, 160}, "both ends of the sizes"
    assert {values["finetune_size"] for values in first} == {20, 60}
    assert len({values["seed"] for values in first}) == 2
    assert "identify the law" in said[0]
    run(until)
    assert until.record.met
    low, high = until.record.looks[-1].low, until.record.looks[-1].high
    assert (high - low) / 2 < 0.3
    assert low < 0.9 < high
    assert "met, half-width" in until.record.outcome
    assert trained(store) == set(until.plan.graph.nodes)
    assert len(until.plan.graph.nodes) < len(plan.graph.nodes) / 2
    assert results.analyse(plan.again()).conclusions[-1] == f"--until {until.record.outcome}"

    again, said = begin(plan.again(), 0.3)
    assert again.record.met
    assert again.record.outcome == until.record.outcome
    assert len(again.record.looks) == len(until.record.looks), "the same records are no new look"
    assert not said


def test_a_narrower_target_goes_on_from_what_is_there(plan, store):
    until, _ = begin(plan, 0.3)
    run(until)
    before = trained(store)
    narrower, said = begin(plan.again(), 0.1)
    run(narrower)
    assert before < trained(store)
    assert len(narrower.record.looks) > len(until.record.looks)
    assert "->" in said[0], "each choice says what it is expected to give"
    assert all(line.endswith(("min", "h", "steps", "are next")) for text in said for line in text.splitlines())


def test_an_interrupted_round_is_the_same_round_again(plan, store):
    until, _ = begin(plan, 0.1)
    chosen = set(until.plan.graph.nodes)
    some = dict(list(until.plan.graph.nodes.items())[:5])
    finish(replace(until.plan, graph=StageGraph(some, [])), planted)
    again, said = begin(plan.again(), 0.1)
    assert set(again.plan.graph.nodes) == chosen
    assert "left to train" in said[0]
    assert not again.record.looks[1:], "a round that has not ended is not looked at"


def test_what_the_whole_grid_cannot_give_ends_with_what_would(plan, store):
    until, _ = begin(plan, 0.02)
    run(until)
    assert until.record.met is False
    assert "cannot be met within this grid" in until.record.outcome
    assert "6 seeds of one partition; about" in until.record.outcome
    assert len(trained(store)) < len(plan.graph.nodes), "it is told before the grid is trained"


def test_a_grid_that_is_trained_already_is_only_looked_at(plan):
    finish(plan, planted)
    until, _ = begin(plan.again(), 1e-4)
    assert until.record.met is False
    assert "all of it is trained and gives" in until.record.outcome
    until, said = begin(plan.again(), 1.0)
    assert until.record.met
    assert not said
    assert not until.plan.graph.nodes


def test_stages_that_fail_are_replaced_where_the_law_needs_them(plan):
    until, _ = begin(plan, 0.1)
    nodes = [node for node in until.plan.graph.nodes.values() if node.name == "pretrain"]
    middle = sorted({node.values["pretrain_size"] for node in nodes})[1]
    failed = {node.key for node in nodes if node.values["pretrain_size"] == middle}
    below = failed | until.plan.graph.descendants(failed)
    done = {key: node for key, node in until.plan.graph.nodes.items() if key not in below}
    finish(replace(until.plan, graph=StageGraph(done, [])), planted)
    until.advance(until.plan.graph.nodes)
    assert until.record.met is None
    assert until._pending
    assert not until._pending & below, "what has failed is not tried again in this run"
    finish(until.plan, planted)


def test_it_is_held_against_another_process(plan, store):
    store.sweep(plan.name).path.mkdir(parents=True, exist_ok=True)
    with (
        opened(plan, ending(plan, 1), print),
        pytest.raises(StoreError, match="another process"),
        opened(plan, ending(plan, 1), print),
    ):
        pass


def test_a_damaged_file_of_choices_is_said_and_chosen_anew(plan, store):
    until, _ = begin(plan, 0.3)
    path = store.sweep(plan.name).path / "until.json"
    assert json.loads(path.read_text())["chosen"]
    path.write_text("{")
    assert any("until.json" in str(one) for one in store.sweep(plan.name).every_damage())
    again, _ = begin(plan, 0.3)
    assert set(again.plan.graph.nodes) == set(until.plan.graph.nodes)


def test_a_plan_tells_the_first_round_and_how_many_to_expect(plan, store):
    lines = foreseen(plan, ending(plan, 0.3))
    assert lines[0].startswith("round 1 until transfer.gradient.half_width < 0.3: no interval yet; 12 cells for ")
    assert "which is assumed, it is met after" in lines[-1]
    assert not (store.sweep(plan.name).path / "until.json").exists(), "a plan leaves nothing behind"
    until, _ = begin(plan, 0.3)
    run(until)
    assert foreseen(plan.again(), ending(plan, 0.3)) == [until.record.outcome]


def test_what_cannot_be_run_until_a_condition_is_refused(write_spec, store, plan):
    with pytest.raises(SpecError, match="got 2 specs"):
        ending_of(CONDITION.format(1), [plan, plan])
    one_size = prepare(write_spec(("[0, 20, 40]", "[0, 40]"), name="one.yaml"), store.root)
    with pytest.raises(SpecError, match="1 training size of the stage of x"):
        ending_of(CONDITION.format(1), [one_size])
    one_seed = prepare(write_spec(("[0, 20, 40]", "[0, 20, 40, 80]"), name="one.yaml"), store.root)
    with pytest.raises(SpecError, match="1 replicate, and a line needs three sizes and four pre-trainings"):
        ending_of(CONDITION.format(1), [one_seed])
    with pytest.raises(SpecError, match=r"got --budget, which is of `budget\.regret`, not of"):
        ending_of(CONDITION.format(1), [plan], BudgetOptions(budget=1.0))


def test_an_aim_with_nothing_to_train_ends_the_run(plan, monkeypatch):
    asked = []

    def follow(_aim, now):
        asked.append(now)
        assert len(asked) < 3, "it is asked for ever"
        return LookRecord(cells=0, price=0.0), []

    monkeypatch.setattr(GradientAim, "follow", follow)
    until, said = begin(plan, 0.2)
    assert until.record.met is False
    assert "no cell that is left is expected to bring it nearer" in until.record.outcome
    assert not said
    assert foreseen(plan, ending(plan, 0.2)) == [until.record.outcome]
