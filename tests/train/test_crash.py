"""kill -9 and resume equals the uninterrupted training, bit for bit on a CPU."""

from __future__ import annotations

import json
import signal

import pytest

from mfsweep.train import load_weights

PERIOD = 9
"""Batches between two validations: 3 steps of 3 batches."""


def read(folder):
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        (entry["step"], {name: value for name, value in entry["metrics"].items() if name != "structures_per_second"})
        for entry in lines
    ]


@pytest.fixture(scope="module")
def training(tiny):
    return tiny(max_steps=9, validate_every=3, schedule={"patience_steps": 3, "stop_steps": 100, "factor": 0.5})


@pytest.fixture(scope="module")
def whole(ranks, training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert ranks(training, folder) == [0]
    return folder


@pytest.mark.parametrize(
    "kills", [[2], [PERIOD + 5, PERIOD + 1]], ids=["before the first checkpoint", "twice in the middle"]
)
def test_a_killed_training_resumes_to_the_same_bits(ranks, training, whole, tmp_path, kills):
    for kill_at in kills:
        assert ranks(training, tmp_path, kill_at=kill_at) == [-signal.SIGKILL]
        assert not (tmp_path / "checkpoints" / "selected.pt").exists()
    assert ranks(training, tmp_path) == [0]
    assert read(tmp_path) == read(whole)
    assert (tmp_path / "outcome.0.json").read_text() == (whole / "outcome.0.json").read_text()
    files = {path.name for path in (whole / "checkpoints").glob("*.pt")}
    assert {"last.pt", "selected.pt"} <= files
    assert {path.name for path in (tmp_path / "checkpoints").glob("*.pt")} == files
    for name in files - {"last.pt"}:
        ours, theirs = (load_weights(folder / "checkpoints" / name) for folder in (tmp_path, whole))
        assert ours.step == theirs.step
        assert all(ours.state[key].equal(theirs.state[key]) for key in theirs.state)


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: content[:0], lambda content: content.replace(b"plateau", b"plat\x00au", 1)],
    ids=["cut short", "empty", "one byte"],
)  # fmt: skip
def test_a_training_whose_state_is_damaged_starts_again_to_the_same_bits(ranks, training, whole, tmp_path, damage):
    assert ranks(training, tmp_path, kill_at=PERIOD + 5) == [-signal.SIGKILL]
    last = tmp_path / "checkpoints" / "last.pt"
    content = damage(last.read_bytes())
    last.write_bytes(content)
    assert ranks(training, tmp_path) == [0]
    assert last.with_name("last.pt.damaged-1").read_bytes() == content
    assert read(tmp_path) == read(whole)
    names = {path.name for path in (whole / "checkpoints").glob("*.pt")} - {"last.pt"}
    assert "selected.pt" in names
    for name in names:
        assert (tmp_path / "checkpoints" / name).read_bytes() == (whole / "checkpoints" / name).read_bytes()
