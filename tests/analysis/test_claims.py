from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mfsweep.analysis.claims import judge
from mfsweep.analysis.records import Records
from mfsweep.analysis.reml import mean_of
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.analysis.suite import told_of
from mfsweep.analysis.transfer import FitRequest
from mfsweep.report_records import ClaimRecord
from mfsweep.spec.figures import Claim

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"
FIT = FitRequest("transfer", X, Y, ("label_method", "finetune_size"))


def claim(**fields):
    return Claim.model_validate({"says": "so it is", "expect": "lower", **fields})


def outcome(world, one, *fits):
    return judge(Records(world.store, world.cells), world.cells, "one", one, fits)


def pair(world, seed, this, against, *, n=1, capped=False, **more):
    for strategy, error in (("pretrain", this), ("direct", against)):
        values = {"strategy": strategy, "n": n, "seed": seed, **(more if strategy == "pretrain" else {})}
        converged = not (capped and strategy == "pretrain")
        key = world.stage([("cc", "a", n)], seed=seed, recipe={"name": str(values)}, converged=converged)
        world.evaluate(key, "cc", {"energy_mae": error})
        world.cell(values, {"finetune": key}, {"finetune": {"cc": n}})


BETTER = {"y": Y, "this": {"strategy": "pretrain"}, "against": {"strategy": "direct"}}


def test_the_ratio_is_that_of_geometric_means_with_students_interval_over_replicates(world):
    for seed, ratio in enumerate((0.4, 0.5, 0.6)):
        pair(world, seed, 20 * ratio, 20)
        pair(world, seed, 5 * ratio, 5, n=2)
    record = outcome(world, claim(**BETTER, recommends="do it"))
    logs = [math.log(ratio) for ratio in (0.4, 0.5, 0.6)]
    mean = sum(logs) / 3
    half = stats.sem(logs) * stats.t.ppf(0.975, 2)
    assert record.estimate == pytest.approx(math.exp(mean))
    assert record.low == pytest.approx(math.exp(mean - half))
    assert record.high == pytest.approx(math.exp(mean + half))
    assert (record.verdict, record.recommends) == ("agree", "do it")
    assert record.detail == "6 pairs over 3 seeds of one partition"
    assert record.came_out == f"ratio of {Y} 0.49, 95 % interval 0.30 to 0.82"


def test_one_replicate_has_no_interval_and_no_verdict(world):
    pair(world, 0, 1.0, 20.0)
    record = outcome(world, claim(**BETTER))
    assert (record.verdict, record.low) == ("cannot tell", None)
    assert record.estimate == pytest.approx(0.05)


def test_cells_that_are_capped_are_left_out_and_counted(world):
    for seed in range(3):
        pair(world, seed, 10 + seed / 10, 20)
        pair(world, seed, 100, 20, n=2, capped=True)
    record = outcome(world, claim(**BETTER))
    assert record.verdict == "agree"
    assert record.estimate == pytest.approx(0.505, abs=0.01)
    assert record.detail == "3 pairs over 3 seeds of one partition; 3 of 12 cells capped, left out"


def test_where_only_capped_cells_would_tell_the_numbers_stand_without_a_verdict(world):
    for seed in range(3):
        pair(world, seed, 10 + seed / 10, 20, capped=seed > 0)
    record = outcome(world, claim(**BETTER))
    assert record.verdict == "cannot tell"
    assert record.estimate == pytest.approx(0.505, abs=0.01)
    assert record.high < 1
    assert "2 of 6 cells capped, no claim" in record.detail


@pytest.mark.parametrize(("size", "ratio", "told"), [(1, 1.5, "disagree"), (2, 0.5, "agree")])
def test_every_replicate_averages_over_the_same_settings(world, size, ratio, told):
    for seed in range(3):
        for n, own in ((1, 0.5), (2, 1.5)):
            pair(world, seed, 20 * own, 20, n=n, capped=n == size and seed < 2)
    record = outcome(world, claim(**BETTER))
    assert [record.estimate, record.low, record.high] == pytest.approx([ratio] * 3)
    assert record.verdict == told
    assert record.detail == (
        "3 pairs over 3 seeds of one partition, 2 cells left out that not every replicate has; 2 of 12 cells capped, left out"
    )


def test_pairs_go_before_one_of_three_replicates_does(world):
    for seed in range(3):
        for n, own in ((1, 0.5), (2, 0.6), (4, 0.7)):
            pair(world, seed, 20 * own, 20, n=n, capped=seed == 2 and n > 1)
    record = outcome(world, claim(**BETTER))
    assert record.estimate == pytest.approx(0.5)
    assert record.detail.startswith(
        "3 pairs over 3 seeds of one partition, 8 cells left out that not every replicate has;"
    )


def test_seeds_of_one_partition_are_averaged_and_partitions_are_the_replicates(world):
    logs = {}
    for split_seed in range(3):
        for seed in range(4):
            change = 0.3 * split_seed + 0.01 * seed
            logs.setdefault(split_seed, []).append(change)
            for strategy, error in (("pretrain", 10 * math.exp(change)), ("direct", 20.0)):
                seeding = {"seed": seed, "split_seed": split_seed}
                key = world.stage([("cc", "a", 10)], **seeding, recipe={"name": strategy})
                world.evaluate(key, "cc", {"energy_mae": error})
                world.cell({"strategy": strategy, **seeding}, {"finetune": key}, {"finetune": {"cc": 10}})
    record = outcome(world, claim(**BETTER))
    means = [sum(own) / 4 + math.log(0.5) for own in logs.values()]
    assert (record.replicates, record.freedom) == (3, 2)
    assert record.error == pytest.approx(stats.sem(means))
    assert record.estimate == pytest.approx(math.exp(sum(means) / 3))
    assert record.detail == "12 pairs over 3 partitions of one pool"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({(0, 1), (1, 1)}, "2 seeds of one partition"),
        ({(0, 1), (1, 1), (0, 2)}, "2 partitions of one pool"),
        ({(0, "fold 0 of seed 0"), (0, "fold 1 of seed 0")}, "2 folds"),
    ],
)
def test_what_the_replicates_are_is_said(found, said):
    assert text(labels(found).values(), by_partition(found)) == said


def architectures(world, gains):
    for seed, of_seed in enumerate(gains):
        for architecture, gain in of_seed.items():
            level = 30 if architecture == "mace" else 60  # whose errors are larger says nothing of who gains
            for n, error in ((0, level), (100, level * gain)):
                values = {"architecture": architecture, "n": n, "seed": seed}
                key = world.stage([("cc", "a", 10)], seed=seed, recipe={"name": f"{architecture} {n}"})
                world.evaluate(key, "cc", {"energy_mae": error})
                world.cell(values, {"finetune": key}, {"finetune": {"cc": 10}})


@pytest.mark.parametrize(("this", "told"), [("mace", "disagree"), ("allegro", "agree")])
def test_who_gains_more_is_a_ratio_of_ratios(world, this, told):
    # Each of them loses error by pre-training; Allegro, whose error stays the larger one, loses more.
    architectures(
        world, [{"mace": 0.8, "allegro": 0.4}, {"mace": 0.82, "allegro": 0.42}, {"mace": 0.78, "allegro": 0.4}]
    )
    other = {"mace": "allegro", "allegro": "mace"}[this]
    sides = {"this": {"architecture": this}, "against": {"architecture": other}}
    record = outcome(world, claim(y=Y, **sides, over={"n": 0}, where={"n": 100}))
    expected = math.exp(sum(math.log(a / b) for a, b in ((0.8, 0.4), (0.82, 0.42), (0.78, 0.4))) / 3)
    assert record.estimate == pytest.approx(expected if this == "mace" else 1 / expected)
    assert record.verdict == told
    assert record.measure == f"ratio of ratios of {Y}"


TRUTHS = st.sampled_from([0.15, 0.5, 0.85, 1.0, 1.18, 2.0, 6.7])
KINDS = st.sampled_from(
    [("lower", {}), ("higher", {}), ("at_most", {"bound": 1.1}), ("at_least", {"bound": 0.9}), ("equal", {"margin": 0.1}),
     ("value", {"value": 0.15}), ("value", {"value": 0.5})]
)  # fmt: skip
HOLDS = {
    "lower": lambda truth, _: truth < 1,
    "higher": lambda truth, _: truth > 1,
    "at_most": lambda truth, bound: truth < bound,
    "at_least": lambda truth, bound: truth > bound,
    "equal": lambda truth, margin: 1 / (1 + margin) <= truth <= 1 + margin,
    "value": lambda truth, value: truth == value,
}


@settings(deadline=None)
@given(truth=TRUTHS, kind=KINDS, swapped=st.booleans())
def test_a_planted_truth_agrees_where_it_holds_and_only_there_and_swapped_sides_are_mirrored(truth, kind, swapped):
    # Nine seeds that scatter by 1 %: of all these truths only that of 1 cannot be told for `lower` and `higher`.
    expect, stated = kind
    mirrored = {"lower": "higher", "higher": "lower", "at_most": "at_least", "at_least": "at_most"}.get(expect, expect)
    if swapped:
        stated = {name: number if name == "margin" else 1 / number for name, number in stated.items()}
    logs = math.log(truth) * (-1 if swapped else 1) + 0.01 * np.array([-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2])
    found = mean_of(logs)
    record = ClaimRecord(
        name="one", says="so it is", measure="ratio", estimate=math.exp(found.value), low=None, high=None,
        verdict="cannot tell", detail="", expect=mirrored if swapped else expect,
        stated=next(iter(stated.values()), None), usable=True, error=found.error, freedom=8, replicates=9, evidence="one",
    )  # fmt: skip
    told = told_of(record, found, 9).verdict
    plain = kind[1]
    if expect in ("lower", "higher") and truth == 1:
        assert told == "cannot tell"
    else:
        assert told == ("agree" if HOLDS[expect](truth, next(iter(plain.values()), None)) else "disagree")


def test_the_cells_of_one_side_are_those_that_every_replicate_has(world):
    for seed in range(2):
        pair(world, seed, 10, 20)
        pair(world, seed, 40, 20, n=2, capped=seed == 1)
    sides = {"this": {"strategy": "pretrain", "n": (1, 2)}, "against": {"strategy": "direct", "n": 1}}
    record = outcome(world, claim(y=Y, expect="lower", **sides))
    assert [record.estimate, record.high] == pytest.approx([0.5] * 2)
    assert record.detail.startswith(
        "2 pairs over 2 seeds of one partition, 1 cell left out that not every replicate has;"
    )


def test_an_axis_that_one_side_lacks_does_not_keep_cells_apart(world):
    for seed in range(2):
        pair(world, seed, 10 + seed / 10, 20, alpha=0.5)
    assert outcome(world, claim(**BETTER)).detail == "2 pairs over 2 seeds of one partition"


def test_cells_pair_only_where_the_other_axes_agree(world):
    for seed in range(2):
        pair(world, seed, 10 + seed / 10, 20)
        pair(world, seed, 10 + seed / 10, 20, n=2)
    record = outcome(world, claim(**BETTER, where={"n": 2}))
    assert record.detail == "2 pairs over 2 seeds of one partition"
    record = outcome(
        world, claim(y=Y, this={"strategy": "pretrain", "n": 1}, against={"strategy": "direct", "n": 2}, expect="lower")
    )
    assert record.detail == "2 pairs over 2 seeds of one partition"


def test_what_is_not_measured_yet_says_so(world):
    world.cell({"strategy": "direct"}, {"finetune": "0" * 20}, {})
    record = outcome(world, claim(**BETTER))
    assert (record.verdict, record.came_out) == ("cannot tell", "not measured")
    assert record.detail == "no pair of cells is measured yet"
    world.cells.clear()
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 100))
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert (record.verdict, record.detail) == ("cannot tell", "too few points for a line")


def test_gradients_of_two_groups_are_compared(world):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), noise=0.02, shared=0.02)
    sides = {"this": {"label_method": "dft"}, "against": {"label_method": "xtb"}}
    record = outcome(world, claim(gradient="transfer", expect="higher", **sides), FIT)
    assert record.verdict == "agree"
    assert record.estimate == pytest.approx(0.55, abs=0.1)
    assert record.low < 0.55 < record.high
    assert record.measure == "difference of gradients of law transfer"
    assert outcome(world, claim(gradient="transfer", expect="equal", **sides), FIT).verdict == "disagree"
    same = {"this": {"finetune_size": 30}, "against": {"finetune_size": 120}, "where": {"label_method": "dft"}}
    assert outcome(world, claim(gradient="transfer", expect="equal", margin=0.3, **same), FIT).verdict == "agree"


def test_a_gradient_alone_stands_beside_zero(world):
    world.grid({"dft": 1.35}, noise=0.02)
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert record.verdict == "agree"
    assert record.measure == "gradient of law transfer"
    assert record.estimate == pytest.approx(1.35, abs=0.1)


def test_capped_points_are_left_out_of_a_gradient(world):
    world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.02, capped=(25,))
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert record.verdict == "agree"
    assert "4 of 16 points capped, left out" in record.detail
    world.cells.clear()
    world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.02, capped=(25, 100))
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert record.verdict == "cannot tell"
    assert "8 of 16 points capped, no claim" in record.detail


def test_two_metrics_of_the_same_trainings_are_two_results(world):
    for seed in range(3):
        for strategy, error in (("pretrain", 10 + seed), ("direct", 20.0)):
            key = world.stage([("cc", "a", 10)], seed=seed, recipe={"name": strategy})
            world.evaluate(key, "cc", {"energy_mae": error, "force_mae": error})
            world.cell({"strategy": strategy, "seed": seed}, {"finetune": key}, {"finetune": {"cc": 10}})
    energies, forces = (
        outcome(world, claim(**{**BETTER, "y": f"result.test.cc.{q}"})) for q in ("energy_mae", "force_mae")
    )
    swapped = {"y": Y, "this": BETTER["against"], "against": BETTER["this"]}
    assert energies.evidence != forces.evidence
    assert outcome(world, claim(**swapped, expect="higher")).evidence == energies.evidence


def test_a_gradient_that_is_stated_is_held_against_its_interval(world):
    world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.05)
    told = {
        value: outcome(world, claim(gradient="transfer", expect="value", value=value), FIT).verdict
        for value in (0.1, 0.77, 1.35)
    }
    assert told == {0.1: "disagree", 0.77: "disagree", 1.35: "agree"}


def test_where_noise_of_x_alone_makes_least_squares_say_the_opposite_there_is_no_claim(world):
    # Nearly all that x varies by is noise: by least squares the gradient is surely below the bound, by size above it.
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 100, 400, 1000), seeds=range(12), noise=0.02, shared=1.0)
    record = outcome(world, claim(gradient="transfer", expect="at_least", bound=0.9), FIT)
    assert (record.verdict, record.usable) == ("cannot tell", False)
    assert "say the opposite: no claim" in record.detail
