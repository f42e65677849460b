"""The same bits on a CPU whatever process a training ran in, with a model of the study's kind: max_L 1, max_ell 3.

A fresh process, one that has trained another stage before (a reused actor), one that resumes after kill -9; alone and
in a group; energies and forces.
"""

from __future__ import annotations

import json
import signal

import pytest

from mfsweep.models.mace import Mace
from mfsweep.train import load_weights

MODEL = Mace(channels=4, max_L=1, max_ell=3, correlation=2, radial_hidden=(8,), readout_hidden=4)
PERIOD = 8
"""Batches between two validations: 2 steps of 4 batches."""


@pytest.fixture(scope="module")
def training(tiny):
    return tiny("both", model=MODEL, max_steps=6, validate_every=2, batch={"batches_per_step": 4})


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "a group"])
def size(request):
    return request.param


@pytest.fixture(scope="module")
def fresh(ranks, training, size, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    assert ranks(training, folder, size=size) == [0] * size
    return folder


def require_equal(one, other):
    """Compare everything that two trainings wrote, but for wall times."""
    lines = [[json.loads(text) for text in (own / "metrics.jsonl").read_text().splitlines()] for own in (one, other)]
    for first, second in zip(*lines, strict=True):
        metrics = [entry["metrics"] | {"structures_per_second": 0} for entry in (first, second)]
        assert (first["step"], metrics[0]) == (second["step"], metrics[1])
    files, others = ({path.name for path in (own / "checkpoints").glob("*.pt")} - {"last.pt"} for own in (one, other))
    assert "selected.pt" in files
    assert files == others
    for name in files:
        ours, theirs = (load_weights(own / "checkpoints" / name) for own in (one, other))
        assert ours.step == theirs.step
        assert all(ours.state[key].equal(theirs.state[key]) for key in theirs.state), name


def test_two_fresh_processes_agree(ranks, training, size, fresh, tmp_path):
    assert ranks(training, tmp_path, size=size) == [0] * size
    require_equal(tmp_path, fresh)


@pytest.mark.parametrize("kills", [[3], [PERIOD + 3, PERIOD + 1]], ids=["before a checkpoint", "twice after one"])
def test_a_killed_training_resumes_to_the_same_bits(ranks, training, size, fresh, tmp_path, kills):
    for kill_at in kills:
        assert ranks(training, tmp_path, size=size, kill_at=-(-kill_at // size)) == [-signal.SIGKILL] * size
    assert ranks(training, tmp_path, size=size) == [0] * size
    require_equal(tmp_path, fresh)


def test_a_process_that_trained_another_stage_agrees_with_a_fresh_one(run, ranks, training, tiny, tmp_path):
    assert ranks(training, tmp_path / "fresh") == [0]
    for _ in range(2):
        run(tiny("dft", model=MODEL, seed=1), "another stage")
    run(training, "reused")
    require_equal(tmp_path / "reused", tmp_path / "fresh")
