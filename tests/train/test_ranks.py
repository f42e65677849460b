"""The number of ranks changes no number but by rounding."""

from __future__ import annotations

import json
import shutil
import threading
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from mfsweep.spec.batching import Batching
from mfsweep.train import load_weights, loop
from mfsweep.train.checkpoint import save

STEPS = 6


def read(folder):
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{"step": entry["step"]} | entry["metrics"] for entry in lines]


def without_speed(entries):
    return [{name: value for name, value in entry.items() if name != "structures_per_second"} for entry in entries]


@pytest.fixture(scope="module")
def folders(ranks, tmp_path_factory, request):
    make = request.getfixturevalue("tiny")
    training = make(precision="float64", max_steps=STEPS)
    found = {}
    for name, size in [("one", 1), ("two", 2), ("four", 4), ("two again", 2)]:
        found[name] = tmp_path_factory.mktemp("ranks") / name
        assert ranks(training, found[name], size=size) == [0] * size
    return found


def test_losses_agree_to_rounding(folders):
    one = read(folders["one"])
    assert [entry["step"] for entry in one] == [1, 2, 3, 3, 4, 5, 6, 6]
    for name in ("two", "four"):
        other = read(folders[name])
        for ours, theirs in zip(without_speed(one), without_speed(other), strict=True):
            assert ours.keys() == theirs.keys()
            np.testing.assert_allclose(list(theirs.values()), list(ours.values()), rtol=1e-10)


def test_equal_numbers_of_ranks_agree_bit_for_bit(folders):
    assert without_speed(read(folders["two"])) == without_speed(read(folders["two again"]))
    first, second = (load_weights(folders[name] / "checkpoints" / "selected.pt") for name in ("two", "two again"))
    assert all(first.state[name].equal(second.state[name]) for name in first.state)


def test_a_rank_without_a_batch_takes_part(folders):
    """Three batches a step and four ranks: the fourth adds zeros, and validates its share."""
    outcomes = [(folders["four"] / f"outcome.{rank}.json").read_text() for rank in range(4)]
    assert len(set(outcomes)) == 1


def test_three_batches_are_not_a_multiple_of_the_ranks(tiny):
    assert tiny().recipe.batch == Batching(max_atoms=40, batches_per_step=3)


def test_ranks_resume_from_the_state_of_another_number_of_ranks(folders, ranks, tiny, tmp_path):
    shutil.copytree(folders["one"], tmp_path / "copy")
    (tmp_path / "copy" / "checkpoints" / "selected.pt").unlink()
    assert ranks(tiny(precision="float64", max_steps=STEPS), tmp_path / "copy", size=2) == [0, 0]
    assert read(tmp_path / "copy") == read(folders["one"])
    outcomes = {(tmp_path / "copy" / f"outcome.{rank}.json").read_text() for rank in (0, 1)}
    assert outcomes == {(folders["one"] / "outcome.0.json").read_text()}


class SecondRank(NamedTuple):
    """The world as rank 1 knows it, when rank 0 stands at `step`."""

    step: int
    rank: int = 1

    def follow(self, _: int) -> int:
        return self.step


def test_a_rank_resumes_from_what_rank_0_resumed_from(tmp_path):
    """On a network file system it may see the folder without last.pt, or with an older one."""
    path, restored = tmp_path / "last.pt", []
    state = SimpleNamespace(step=0, restore=restored.append)
    save(path, {"step": 3})
    loop._resume(state, path, SecondRank(0))
    assert restored == []
    later = threading.Timer(0.3, save, (path, {"step": 6}))
    later.start()
    loop._resume(state, path, SecondRank(6))
    later.join()
    assert restored == [{"step": 6}]


@pytest.mark.slow
def test_ranks_start_again_together_where_the_state_is_damaged(folders, ranks, tiny, tmp_path):
    """Rank 0 finds it out, and the other follows."""
    shutil.copytree(folders["two"], tmp_path / "copy")
    last = tmp_path / "copy" / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-100])
    assert ranks(tiny(precision="float64", max_steps=STEPS), tmp_path / "copy", size=2) == [0, 0]
    assert last.with_name("last.pt.damaged-1").exists()
    assert without_speed(read(tmp_path / "copy")) == without_speed(read(folders["two"]))
