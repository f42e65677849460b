from __future__ import annotations

import math

import pytest
from scipy import stats

from mfsweep.analysis.claims import judge, verdict
from mfsweep.analysis.records import Records
from mfsweep.analysis.regression import Interval
from mfsweep.analysis.transfer import FitRequest
from mfsweep.spec.figures import Claim

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"
FIT = FitRequest("transfer", X, Y, ("label_method", "finetune_size"))


def claim(**fields):
    return Claim.model_validate({"says": "so it is", "expect": "lower", **fields})


def outcome(world, one, *fits):
    return judge(Records(world.store, world.cells), world.cells, "one", one, fits, resamples=400)


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
    assert record.detail == "6 pairs over 3 replicates"
    assert record.came_out == f"ratio of {Y} 0.49, 95 % interval 0.30 to 0.82"


@pytest.mark.parametrize(
    ("low", "high", "expect", "told"),
    [
        (0.5, 0.9, "lower", "agree"),
        (0.5, 1.1, "lower", "cannot tell"),
        (1.1, 1.9, "lower", "disagree"),
        (1.1, 1.9, "higher", "agree"),
        (0.5, 0.9, "higher", "disagree"),
        (0.95, 1.05, "equal", "agree"),
        (0.85, 1.05, "equal", "cannot tell"),
        (0.5, 0.85, "equal", "disagree"),
        (1.15, 1.2, "equal", "disagree"),
    ],
)
def test_a_verdict_follows_from_the_interval(low, high, expect, told):
    assert verdict(Interval(low, high), expect, 1.0, 0.1) == told
    assert verdict(Interval(low - 1, high - 1), expect, 0.0, 0.1) == told


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
    assert record.detail == "3 pairs over 3 replicates; 3 of 12 cells capped, left out"


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
        "3 pairs over 3 replicates, 2 cells left out that not every replicate has; 2 of 12 cells capped, left out"
    )


def test_a_replicate_goes_where_that_leaves_more_than_what_all_share(world):
    for seed in range(3):
        for n, own in ((1, 0.5), (2, 0.6), (4, 0.7)):
            pair(world, seed, 20 * own, 20, n=n, capped=seed == 2 and n > 1)
    record = outcome(world, claim(**BETTER))
    assert record.estimate == pytest.approx((0.5 * 0.6 * 0.7) ** (1 / 3))
    assert record.detail.startswith("6 pairs over 2 replicates, 2 cells left out that not every replicate has;")


def test_the_cells_of_one_side_are_those_that_every_replicate_has(world):
    for seed in range(2):
        pair(world, seed, 10, 20)
        pair(world, seed, 40, 20, n=2, capped=seed == 1)
    sides = {"this": {"strategy": "pretrain", "n": (1, 2)}, "against": {"strategy": "direct", "n": 1}}
    record = outcome(world, claim(y=Y, expect="lower", **sides))
    assert [record.estimate, record.high] == pytest.approx([0.5] * 2)
    assert record.detail.startswith("2 pairs over 2 replicates, 1 cell left out that not every replicate has;")


def test_an_axis_that_one_side_lacks_does_not_keep_cells_apart(world):
    for seed in range(2):
        pair(world, seed, 10 + seed / 10, 20, alpha=0.5)
    assert outcome(world, claim(**BETTER)).detail == "2 pairs over 2 replicates"


def test_cells_pair_only_where_the_other_axes_agree(world):
    for seed in range(2):
        pair(world, seed, 10 + seed / 10, 20)
        pair(world, seed, 10 + seed / 10, 20, n=2)
    record = outcome(world, claim(**BETTER, where={"n": 2}))
    assert record.detail == "2 pairs over 2 replicates"
    record = outcome(
        world, claim(y=Y, this={"strategy": "pretrain", "n": 1}, against={"strategy": "direct", "n": 2}, expect="lower")
    )
    assert record.detail == "2 pairs over 2 replicates"


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
    world.grid({"dft": 1.35}, noise=0.02, capped=(25,))
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert record.verdict == "agree"
    assert "2 of 8 points capped, left out" in record.detail
    world.cells.clear()
    world.grid({"dft": 1.35}, noise=0.02, capped=(25, 100))
    record = outcome(world, claim(gradient="transfer", expect="higher"), FIT)
    assert record.verdict == "cannot tell"
    assert "4 of 8 points capped" in record.detail
