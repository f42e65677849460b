from __future__ import annotations

import itertools
import re
from types import SimpleNamespace as N

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.analysis.conclusion import conclusions
from mfsweep.analysis.study import Result, result
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord

Y = "result.test.cc.energy_mae"


def said(world):
    found = result(world.store, world.cells, Y)
    assert found is not None
    return conclusions(found)


def test_it_is_of_the_largest_pretraining_over_all_target_sizes_with_an_interval_over_replicates(world):
    world.grid({"dft": 1.0}, seeds=(0, 1, 2), noise=0.01, seed_axis="split_seed")
    (sentence,) = said(world)
    assert sentence.startswith(
        "Pre-training on 1,000 dft labels, then fine-tuning on 30 or 120 cc labels, cut the cc test"
    )
    assert "on average over 2 settings from" in sentence
    assert "meV/atom: -" in sentence
    assert sentence.endswith("(over 3 partitions of one pool).")


@settings(max_examples=100, deadline=None)
@given(missing=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from([30, 120])), max_size=8))
def test_every_replicate_averages_over_the_same_settings_whatever_cells_are_missing(missing):
    """The change is one number in each setting, so that it differs between replicates by their settings alone."""
    there = [
        (split_seed, seed, size)
        for split_seed, seed, size in itertools.product(range(3), range(2), (30, 120))
        if (split_seed, seed, size) not in missing
    ]
    cells = [
        N(
            error=error * ratio, seed=seed, split_seed=split_seed, converged=True, direct=direct, target=str(size),
            setting={"n": size}, method="cc", learned=("cc",), path=MetricPath.parse(Y), key="",
            cell=CellRecord(
                values={"n": size}, stages={}, result="finetune", evaluations={},
                sizes={"finetune": {"cc": size}} | ({} if direct else {"pretrain": {"dft": 100}}),
            ),
        )
        for split_seed, seed, size in there
        for error in [10.0 * (1 + split_seed) * (1 + seed)]
        for direct, ratio in ((True, 1.0), (False, {30: 0.5, 120: 0.8}[size]))
    ]  # fmt: skip
    (sentence,) = conclusions(Result(MetricPath.parse(Y), tuple(cells), (), (), None))
    numbers = re.search(r"from (\S+) to (\S+) meV/atom: (\S+)%", sentence)
    before, after, change = map(float, numbers.groups())
    assert 100 * (after / before - 1) == pytest.approx(change, abs=1)
    kept = [
        ratio
        for size, ratio in ((30, 0.5), (120, 0.8))
        if str(size) in sentence.split("fine-tuning on ")[1].split(" cc")[0]
    ]
    assert change == pytest.approx(100 * (np.exp(np.mean(np.log(kept))) - 1), abs=0.6)
    if interval := re.search(r"interval (\S+)% to (\S+)% ", sentence):
        assert set(interval.groups()) == {numbers[3]}
    whole = {(split_seed, size) for split_seed, _, size in there}
    assert ("left out" in sentence) == (len(whole) < len({one for one, _ in whole}) * len({one for _, one in whole}))


def test_an_interval_that_holds_no_change_is_said_to_tell_nothing(world):
    rng = np.random.default_rng(3)
    for split_seed in range(3):
        direct = world.finetune(30, {"split_seed": split_seed}, None, 30 * np.exp(0.3 * rng.normal()))
        world.cell({"n": 0, "split_seed": split_seed}, {"finetune": direct}, {"finetune": {"cc": 30}})
        parent = world.stage([("dft", "b", 100)], split_seed=split_seed)
        tuned = world.finetune(30, {"split_seed": split_seed}, parent, 30 * np.exp(0.3 * rng.normal()))
        stages = {"pretrain": parent, "finetune": tuned}
        world.cell({"n": 100, "split_seed": split_seed}, stages, {"pretrain": {"dft": 100}, "finetune": {"cc": 30}})
    (sentence,) = said(world)
    assert "changed the cc test error" in sentence
    assert sentence.endswith("It cannot be told whether it helps.")


def test_one_replicate_and_capped_cells_are_no_ground_for_a_claim(world):
    world.grid({"dft": 1.0})
    assert said(world)[0].endswith("It cannot be told how sure that is: one replicate: no interval.")


def test_what_is_capped_makes_no_claim(world):
    world.grid({"dft": 1.0}, seeds=(0, 1, 2), noise=0.01, capped=(1000,))
    assert said(world)[0].endswith("No claim: 6 of 6 pairs of cells have not converged.")


def test_each_auxiliary_method_has_a_sentence_and_joint_training_says_beside(world):
    world.grid({"dft": 1.0, "xtb": 0.5}, seeds=(0, 1), noise=0.01)
    assert [sentence.split()[3] for sentence in said(world)] == ["dft", "xtb"]
    for seed in (0, 1):
        joint = world.stage([("cc", "a", 30), ("dft", "a", 30)], seed=seed)
        world.evaluate(joint, "cc", {"energy_mae": 45.0})
        world.cell({"strategy": "multihead", "seed": seed}, {"joint": joint}, {"joint": {"cc": 30, "dft": 30}}, "joint")
    assert any(sentence.startswith("Training on 30 dft labels beside 30 cc labels") for sentence in said(world))


def test_without_auxiliary_labels_nothing_is_said(world):
    world.grid({"dft": 1.0}, direct=False)
    assert said(world) == []
