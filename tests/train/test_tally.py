"""The exactly-once check must be able to fail."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mfsweep.train.steps
from mfsweep.data.sampler import Sampler
from mfsweep.errors import TrainingError
from mfsweep.spec.stage import LabelledSet
from mfsweep.train.tally import PassId, Tally
from mfsweep.train.world import World

SETS = [LabelledSet(labels=labels, subset="a", probability=0.5) for labels in ("cc", "dft")]
MEMBERS = [np.array([4, 7, 9, 11]), np.array([4, 5])]
ALONE = World.alone()


@pytest.fixture
def tally():
    return Tally(SETS, MEMBERS)


def test_batches_of_passes_that_are_mixed_add_up(tally):
    first, other, second = PassId(0, 0), PassId(1, 0), PassId(0, 1)
    for own, indices in [(first, [9, 4]), (other, [5]), (first, [11, 7]), (second, [4])]:
        tally.add(own, np.array(indices))
    tally.gather({first, other, second}, ALONE)
    assert tally.close(first) == 4
    tally.add(other, np.array([4]))
    tally.gather({other}, ALONE)
    assert tally.close(other) == 2


@pytest.mark.parametrize(
    "trained",
    [[4, 7, 9], [4, 7, 9, 11, 11], [4, 7, 9, 9], [4, 7, 9, 12], [5, 6, 9, 11]],
    ids=["one missing", "one twice", "one for another", "of another set", "others of the same sum"],
)
def test_a_pass_that_is_not_its_set_is_refused(tally, trained):
    tally.add(PassId(0, 0), np.array(trained))
    tally.gather({PassId(0, 0)}, ALONE)
    text = f"pass 0 over cc/a trained on {len(trained)} structures, expected each of the set's 4 once"
    with pytest.raises(TrainingError, match=text):
        tally.close(PassId(0, 0))


def test_a_restored_tally_goes_on(tally):
    tally.add(PassId(0, 3), np.array([4, 7]))
    tally.gather({PassId(0, 3)}, ALONE)
    resumed = Tally(SETS, MEMBERS)
    resumed.restore(json.loads(json.dumps(tally.state())))
    resumed.add(PassId(0, 3), np.array([9, 11]))
    resumed.gather({PassId(0, 3)}, ALONE)
    assert resumed.close(PassId(0, 3)) == 4
    assert resumed.state() == []


def test_a_batch_trained_on_twice_ends_the_training(run, tiny, monkeypatch):
    """As if two ranks took one batch and none the next."""
    step = Sampler.step
    monkeypatch.setattr(Sampler, "step", lambda self: [(drawn := step(self))[0], drawn[0], *drawn[2:]])
    with pytest.raises(TrainingError, match="pass 0 over cc/a trained on"):
        run(tiny("cc", max_steps=30, validate_every=15))


def test_a_batch_that_no_rank_took_ends_the_training(run, tiny, monkeypatch):
    assemble, dropped = mfsweep.train.steps.assemble, []

    def short(view, indices, *rest):
        if not dropped and len(indices) > 1:
            dropped.append(indices[-1])
            indices = indices[:-1]
        return assemble(view, indices, *rest)

    monkeypatch.setattr(mfsweep.train.steps, "assemble", short)
    with pytest.raises(TrainingError, match="trained on 29 structures, expected each of the set's 30 once"):
        run(tiny("cc", max_steps=30, validate_every=15))


def test_a_resumed_training_whose_passes_are_ordered_otherwise_is_refused(run, tiny, monkeypatch):
    """numpy may change what a seed gives; then the rest of the pass is of another order."""
    training = tiny("cc", max_steps=30, validate_every=1)
    assert run(training, report=lambda _: False) is None
    default_rng = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: default_rng([*seed, 1]))
    with pytest.raises(TrainingError, match="resumed by another version of mfsweep or numpy"):
        run(training)
