"""Strategies whose errors and times are planted come out as they were planted."""

from __future__ import annotations

import math

import pytest
import strategies
from strategies import ERRORS, SECONDS

from mfsweep.errors import FitError
from mfsweep.prepare import prepare
from mfsweep.sweep.compare import compare

TIMES = {
    "direct": ("finetune",),
    "pretrain": ("pretrain", "finetune"),
    "frozen": ("pretrain", "finetune"),
    "lora": ("pretrain", "finetune"),
    "multihead": ("joint",),
    "then_tuned": ("joint", "finetune"),
    "delta": ("delta",),
}


def seconds(name):
    return sum(SECONDS[stage] for stage in TIMES[name])


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return strategies.trained(tmp_path_factory.mktemp("strategies"))


@pytest.fixture(scope="module")
def comparison(plan):
    return compare([plan])


def rows(comparison, basis):
    return [(block, row) for block in comparison.blocks if block.basis == basis for row in block.rows]


def test_ratios_at_equal_labels_are_those_of_the_strategies(comparison):
    told = [(row.strategy.replace(" ", "_"), row) for _, row in rows(comparison, "labels")]
    assert len(told) == 2 * len(ERRORS)
    for name, row in told:
        if name == "direct":
            assert row.claim is None
            continue
        truth = ERRORS[name] / ERRORS["direct"]
        assert row.claim.low < truth < row.claim.high, name
        assert row.claim.verdict == "agree"
        assert row.seconds == pytest.approx(
            seconds(name) * (1 if "20 cc" in str(row.labels) else row.labels["cc"] / 20)
        )


def test_the_best_of_a_budget_is_starred_alone_where_it_is_far_ahead(comparison):
    for block in comparison.blocks:
        assert [row.strategy for row in block.rows if row.may_be_best] == ["delta"]


def test_at_equal_training_time_errors_are_read_off_within_the_measured_range(comparison):
    own = rows(comparison, "compute")
    assert {row.strategy.replace(" ", "_") for _, row in own} == set(ERRORS)
    for _, row in own:
        name = row.strategy.replace(" ", "_")
        low, high = seconds(name), 4 * seconds(name)
        assert low * (1 - 1e-9) <= row.seconds <= high * (1 + 1e-9)
        truth = ERRORS[name] * (row.seconds / seconds(name)) ** -0.5 * math.exp(0.3 * 1.5)
        assert row.error.value == pytest.approx(truth, rel=0.06)


def test_the_stages_tell_the_same_strategies_as_the_axis(plan, comparison):
    told = compare([plan], by="stages")
    assert told.by == "stages"
    assert sorted(row.claim.estimate for _, row in rows(told, "labels") if row.claim) == pytest.approx(
        sorted(row.claim.estimate for _, row in rows(comparison, "labels") if row.claim)
    )


def test_another_strategy_may_be_what_the_others_are_compared_with(plan):
    told = compare([plan], against="multihead")
    first = told.blocks[0].rows[0]
    assert (first.strategy, first.claim) == ("multihead", None)
    delta = next(row for row in told.blocks[0].rows if row.strategy == "delta")
    assert delta.claim.estimate == pytest.approx(ERRORS["delta"] / ERRORS["multihead"], rel=0.1)


def test_costs_of_labels_make_another_table(plan):
    told = compare([plan], label_costs={"cc": 10, "dft": 5}, unit="hours")
    own = rows(told, "label cost")
    assert own
    assert {block.budget.split(" ")[1] for block, _ in own} == {"hours"}
    pretrain = next(row for block, row in own if row.strategy == "pretrain")
    # The same money buys two thirds of the pairs of labels: errors fall with the root of their number.
    assert pretrain.claim.estimate == pytest.approx(ERRORS["pretrain"] / ERRORS["direct"] * 1.5**0.5, rel=0.1)
    with pytest.raises(FitError, match="none for dft"):
        compare([plan], label_costs={"cc": 10})


def test_costs_of_a_figure_are_turned_into_the_unit_that_is_asked_for(tmp_path):
    figure = "figures: {cost: {kind: pareto, y: result.test.cc.energy_mae, costs: {cc: 3600, dft: 360}}}\nresources:"
    plan = strategies.trained(tmp_path, ("resources:", figure))

    def budgets(unit):
        found = [block.budget.split(" ") for block, _ in rows(compare([plan], unit=unit), "label cost")]
        assert {words[1] for words in found} == {unit or "core-seconds"}
        return [float(words[0].replace(",", "")) for words in found]

    assert budgets(None)
    assert budgets("core-hours") == pytest.approx([seconds / 3600 for seconds in budgets(None)], rel=2e-3)
    said = (
        r"--unit EUR: the costs of labels are in core-seconds \(figure 'cost' of the spec\).*--label-cost METHOD=COST"
    )
    with pytest.raises(FitError, match=said):
        compare([plan], unit="EUR")


def test_two_specs_of_equal_trainings_say_what_one_does(tmp_path, plan, comparison):
    other = strategies.written(tmp_path, ("name: strategies", "name: again"), name="again.yaml")
    told = compare([plan, prepare(other, plan.store.root)])
    assert [block.as_json() for block in told.blocks] == [block.as_json() for block in comparison.blocks]


def test_capped_results_are_left_out_and_counted(tmp_path):
    few = ("fold: [0, 1, 2, 3]", "fold: [0, 1, 2]")
    capped = [("pretrain", 20, 0), *(("delta", 20, fold) for fold in range(3))]
    told = compare([strategies.trained(tmp_path, few, capped=capped)])
    own = {row.strategy: row for _, row in rows(told, "labels") if row.labels["cc"] == 20}
    assert (own["pretrain"].capped, own["pretrain"].claim.replicates) == (1, 2)
    assert not own["delta"].claim.usable
    assert not own["delta"].may_be_best
    assert "4 of 42 results had not converged" in " ".join(told.notes)
    assert not any(row.members for _, row in rows(told, "compute") if row.strategy == "delta")


def test_one_replicate_has_ratios_without_intervals_and_says_so(tmp_path):
    told = compare([strategies.trained(tmp_path, ("fold: [0, 1, 2, 3]", "fold: [0]"))])
    claims = [row.claim for _, row in rows(told, "labels") if row.claim]
    assert claims
    assert {claim.low for claim in claims} == {None}
    assert "One replicate: no interval" in " ".join(told.notes)
    assert all("no claim" in sentence for sentence in told.sentences)


def test_recipes_of_one_strategy_are_told_apart_and_compared_with_their_own(tmp_path):
    recipes = (
        ("axes:\n", "axes:\n  rate: [0.01, 0.001]\n"),
        ("{max_steps: 4,", "{learning_rate: '${rate}', max_steps: 4,"),
    )
    few = ("fold: [0, 1, 2, 3]", "fold: [0, 1]"), ("[20, 80]", "[20]")
    told = compare([strategies.trained(tmp_path, *recipes, *few)])
    against = {row.strategy: row.against for _, row in rows(told, "labels")}
    assert against["delta, rate=0.001"] == "direct, rate=0.001"
    assert against["delta, rate=0.01"] == "direct, rate=0.01"
    assert {name for name, other in against.items() if not other} == {"direct, rate=0.01"}
    assert against["direct, rate=0.001"] == "direct, rate=0.01"


def test_settings_of_two_specs_with_equal_labels_are_told_apart_by_their_sweeps(tmp_path):
    few = ("fold: [0, 1, 2, 3]", "fold: [0, 1]"), ("[20, 80]", "[20]")
    plan = strategies.trained(tmp_path, *few)
    longer = ("name: strategies", "name: longer"), ("max_steps: 4", "max_steps: 6")
    told = compare([plan, strategies.trained(tmp_path, *few, *longer, name="longer.yaml")])
    against = {row.strategy: row.against for _, row in rows(told, "labels")}
    assert against["delta, sweep=longer"] == "direct, sweep=longer"
    assert len(against) == 2 * len(ERRORS)


ONE = [("    direct: {result: finetune, parent: null, trainable: all}\n", ""), ("    delta: {result: delta}\n", ""),
       ("    multihead: {result: joint}\n", ""), ("    then_tuned: {result: finetune, parent: joint, trainable: all}\n", ""),
       ("    lora: {result: finetune, parent: pretrain, trainable: lora}\n", ""),
       ("    frozen: {result: finetune, parent: pretrain, trainable: readouts}\n", "")]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"by": "strategie"}, "no such axis.*Did you mean 'strategy'"),
        ({"against": "delat"}, "no strategy 'delat'.*Did you mean 'delta'"),
        (
            {"y": "result.test.dft.energy_mae"},
            "the trained stages have no such metric; they have .*result.test.cc.energy_mae",
        ),
        ({"y": "result.test"}, "is not the path of a metric"),
    ],
)
def test_what_is_misspelt_is_told_with_the_nearest_name(plan, asked, says):
    with pytest.raises(FitError, match=says):
        compare([plan], **asked)


def test_one_strategy_only_and_nothing_trained_are_sentences(tmp_path):
    alone = strategies.written(tmp_path, *ONE, name="alone.yaml")
    with pytest.raises(FitError, match=r"alone.yaml: all 8 cells have one strategy, 'pre-training on dft'.*--by"):
        compare([prepare(alone, tmp_path / "store")])
    with pytest.raises(FitError, match=r"no cell has .* yet: `mfsweep run`"):
        compare([prepare(strategies.written(tmp_path), tmp_path / "store")])


def test_strategies_that_share_no_size_are_refused_with_what_each_has(tmp_path):
    apart = [("[20, 80]", "[5, 80]")]
    left_out = [(name, 5 if name == "delta" else 80, fold) for name in ("direct", "delta") for fold in range(4)]
    others = [
        (name, size, fold)
        for name in ERRORS
        if name not in ("direct", "delta")
        for size in (5, 80)
        for fold in range(4)
    ]
    plan = strategies.trained(tmp_path, *apart, left_out=[*left_out, *others])
    with pytest.raises(
        FitError, match=r"no two strategies share.*direct with 5 cc; delta with 80 cc \+ 80 dft.*overlap"
    ):
        compare([plan])
