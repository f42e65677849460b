"""kill -9 and resume equals the uninterrupted training, bit for bit on a CPU (DESIGN.md decision 7)."""

from __future__ import annotations

import json
import signal

import pytest

from mfsweep.train import load_weights


def read(folder):
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        (entry["step"], {name: value for name, value in entry["metrics"].items() if name != "structures_per_second"})
        for entry in lines
    ]


@pytest.mark.parametrize(
    "kills", [[2], [3 * 4 + 2], [3 * 4 + 2, 3 * 3 + 1, 2]], ids=["before a checkpoint", "once", "three times"]
)
def test_a_killed_training_resumes_to_the_same_bits(ranks, tiny, tmp_path, kills):
    training = tiny(max_steps=12, validate_every=3, schedule={"patience_steps": 3, "stop_steps": 100, "factor": 0.5})
    assert ranks(training, tmp_path / "whole") == [0]
    for kill_at in kills:
        assert ranks(training, tmp_path / "killed", kill_at=kill_at) == [-signal.SIGKILL]
        assert not (tmp_path / "killed" / "checkpoints" / "selected.pt").exists()
    assert ranks(training, tmp_path / "killed") == [0]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert read(killed) == read(whole)
    assert (killed / "outcome.0.json").read_text() == (whole / "outcome.0.json").read_text()
    files = sorted(path.name for path in (whole / "checkpoints").glob("*.pt"))
    assert files == ["best.cc.pt", "best.dft.pt", "last.pt", "selected.pt"]
    for name in ("selected.pt", "best.cc.pt", "best.dft.pt"):
        ours, theirs = (load_weights(folder / "checkpoints" / name) for folder in (killed, whole))
        assert ours.step == theirs.step
        assert all(ours.state[key].equal(theirs.state[key]) for key in theirs.state)
    assert not list((killed / "checkpoints").glob(".*"))
