from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis.gain import gains, outcomes

Y = "result.test.cc.energy_mae"


def test_the_change_is_the_mean_log_ratio_over_pairs_of_seeds(world):
    for seed, (direct, tuned) in enumerate([(60.0, 30.0), (50.0, 20.0)]):
        seeding = {"split_seed": seed}
        world.cell(
            {"n": 0, **seeding}, {"finetune": world.finetune(30, seeding, None, direct)}, {"finetune": {"cc": 30}}
        )
        parent = world.stage([("dft", "b", 100)], **seeding)
        stages = {"pretrain": parent, "finetune": world.finetune(30, seeding, parent, tuned)}
        world.cell({"n": 100, **seeding}, stages, {"pretrain": {"dft": 100}, "finetune": {"cc": 30}})
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert gain.values == {"n": 100}
    assert gain.change == pytest.approx(np.sqrt(0.5 * 0.4) - 1)
    assert gain.error == pytest.approx(np.sqrt(30 * 20))
    assert gain.direct_error == pytest.approx(np.sqrt(60 * 50))
    assert gain.pairs == 2
    assert gain.over == "over 2 partitions of one pool"
    logs = np.log([0.5, 0.4])
    half = stats.sem(logs) * stats.t.ppf(0.975, 1)
    assert gain.interval == pytest.approx(np.expm1([logs.mean() - half, logs.mean() + half]))


def test_one_replicate_has_no_interval(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(100,), finetune_sizes=(30,))
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert gain.interval is None
    assert "one replicate: no interval" in gain.sentence


def test_cells_are_compared_with_direct_training_of_their_own_size_and_seed(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(100,), finetune_sizes=(30, 120), seeds=(0, 1))
    found = gains(outcomes(world.store, world.cells, Y))
    assert {gain.values["finetune_size"]: gain.direct_error for gain in found} == {
        30: pytest.approx(60),
        120: pytest.approx(60 * 4**-0.3),
    }


def test_without_direct_training_there_is_no_gain(world):
    world.grid({"dft": 1.0}, direct=False)
    assert gains(outcomes(world.store, world.cells, Y)) == []


def test_joint_training_is_compared_with_direct_training_on_the_same_target_sets(world):
    direct = world.finetune(30, {}, None, 60.0)
    world.cell({"strategy": "direct"}, {"finetune": direct}, {"finetune": {"cc": 30}})
    joint = world.stage([("cc", "a", 30), ("dft", "a", 30)])
    world.evaluate(joint, "cc", {"energy_mae": 45.0})
    world.cell({"strategy": "multihead"}, {"joint": joint}, {"joint": {"cc": 30, "dft": 30}}, result="joint")
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert gain.values == {"strategy": "multihead"}
    assert gain.change == pytest.approx(-0.25)


def test_seeds_of_one_partition_are_one_replicate(world):
    rng = np.random.default_rng(2)
    for split_seed in (0, 1, 2):
        for seed in (0, 1):
            seeding = {"seed": seed, "split_seed": split_seed}
            direct = world.finetune(30, seeding, None, 60.0)
            world.cell({"n": 0, **seeding}, {"finetune": direct}, {"finetune": {"cc": 30}})
            parent = world.stage([("dft", "b", 100)], **seeding)
            tuned = world.finetune(30, seeding, parent, 30 * (1 + 0.1 * split_seed) * np.exp(0.01 * rng.normal()))
            world.cell({"n": 100, **seeding}, {"pretrain": parent, "finetune": tuned}, {})
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert (gain.pairs, gain.over) == (6, "over 3 partitions of one pool")


def test_a_capped_pretraining_marks_the_pair(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(100,), finetune_sizes=(30,), capped=(100,))
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert gain.capped == 1
    assert "no claim" in gain.sentence


def test_the_null_model_and_the_within_formula_error_stand_beside(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(100,), finetune_sizes=(30,))
    direct = outcomes(world.store, world.cells, Y)[0]
    assert direct.direct
    assert (direct.offsets_only, direct.within_formula) == (110.0, pytest.approx(42.0))


def test_of_several_direct_trainings_the_one_most_alike_is_the_pair(world):
    parent = world.stage([("dft", "b", 100)])
    for rate, error in ((1e-3, 60.0), (1e-4, 80.0)):
        for start, found in ((None, error), (parent, 30.0)):
            key = world.stage([("cc", "a", 30)], parent=start, recipe={"learning_rate": rate})
            world.evaluate(key, "cc", {"energy_mae": found})
            stages = {"finetune": key} | ({"pretrain": parent} if start else {})
            world.cell({"rate": rate, "n": 100 if start else 0}, stages, {"finetune": {"cc": 30}})
    found = gains(outcomes(world.store, world.cells, Y))
    assert {gain.values["rate"]: gain.direct_error for gain in found} == {
        1e-3: pytest.approx(60),
        1e-4: pytest.approx(80),
    }


def test_training_from_a_model_file_is_not_direct(world):
    direct = world.finetune(30, {}, None, 60.0)
    world.cell({"start": None}, {"finetune": direct}, {"finetune": {"cc": 30}})
    tuned = world.stage([("cc", "a", 30)], file="1" * 64)
    world.evaluate(tuned, "cc", {"energy_mae": 30.0})
    world.cell({"start": "file"}, {"finetune": tuned}, {"finetune": {"cc": 30}})
    found = outcomes(world.store, world.cells, Y)
    assert [one.direct for one in found] == [True, False]
    (gain,) = gains(found)
    assert (gain.values, gain.change) == ({"start": "file"}, pytest.approx(-0.5))


def test_delta_learning_is_compared_with_direct_training_and_never_stands_for_it(world):
    world.delta(30, 15.0)
    (only,) = outcomes(world.store, world.cells, Y)
    assert (only.direct, only.learned, gains([only])) == (False, ("cc-xtb",), [])
    world.cell({"strategy": "direct"}, {"finetune": world.finetune(30, {}, None, 60.0)}, {"finetune": {"cc": 30}})
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert (gain.values, gain.change) == ({"strategy": "delta"}, pytest.approx(-0.75))


def test_shuffled_labels_of_the_target_are_not_its_labels(world):
    key = world.stage([("cc-shuffled", "a", 30)])
    world.evaluate(key, "cc", {"energy_mae": 90.0})
    own = {"finetune": [("cc-shuffled", ["cc"], "a", 0, 30)]}
    world.cell({}, {"finetune": key}, {"finetune": {"cc-shuffled": 30}}, sets=own)
    (only,) = outcomes(world.store, world.cells, Y)
    assert (only.direct, only.learned) == (False, ())


def test_a_head_of_another_name_does_not_keep_cells_from_comparison(world):
    world.cell({"strategy": "direct"}, {"finetune": world.finetune(30, {}, None, 60.0)}, {"finetune": {"cc": 30}})
    merged = world.stage([("cc", "a", 30), ("dft", "a", 30)], heads=["one", "one"])
    world.evaluate(merged, "cc", {"energy_mae": 45.0}, head="one", own=True)
    world.cell({"strategy": "merged"}, {"merged": merged}, {"merged": {"cc": 30, "dft": 30}}, result="merged")
    (gain,) = gains(outcomes(world.store, world.cells, Y))
    assert (gain.values, gain.change) == ({"strategy": "merged"}, pytest.approx(-0.25))
