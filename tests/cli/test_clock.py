"""A run of several processes whose clock jumps in the middle, forth by days and back by hours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import until
from undisturbed import check_as_undisturbed

from mfsweep.store import StoreFolder

pytestmark = [pytest.mark.drill, pytest.mark.cluster]

JUMPS = (3 * 86_400.0, -5 * 3_600.0, 0.0)
"""Seconds that the clock is wrong by, one after another."""
CLOCK = """
import os, time

right, right_ns, place = time.time, time.time_ns, os.environ["MFSWEEP_TEST_CLOCK"]

def wrong_by():
    with open(place) as file:
        return float(file.read() or 0)

time.time = lambda: right() + wrong_by()
time.time_ns = lambda: right_ns() + int(1e9 * wrong_by())
"""
"""What each Python process of a run does first: the driver, Ray's own, the workers."""


def test_a_clock_that_jumps_changes_nothing(write_spec, tmp_path):
    first = "    max_steps: 4\n    validate_every: 2\n  finetune"
    spec = write_spec((first, first.replace("4", "200").replace("every: 2", "every: 50")))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    run = [sys.executable, "-m", "mfsweep", "run", str(spec), "--groups", "1", "--store"]
    peace, store, clock, log = (tmp_path / name for name in ("peace", "store", "clock", "said"))
    calm = subprocess.run([*run, peace], env=environment, capture_output=True, text=True, check=False)
    assert calm.returncode == 0, calm.stderr
    (patches := tmp_path / "patches").mkdir()
    (patches / "sitecustomize.py").write_text(CLOCK)
    clock.write_text("0")
    jumping = {"PYTHONPATH": str(patches), "MFSWEEP_TEST_CLOCK": str(clock)}
    with log.open("w") as out:
        process = subprocess.Popen([*run, store], env=environment | jumping, stdout=out, stderr=out)
    try:
        for number, jump in enumerate(JUMPS):
            until(lambda at=2 * number: (begun(store) and records(store) >= at) or process.poll() is not None, 300)
            assert process.poll() is None, log.read_text()
            set_by(clock, jump)
        assert process.wait(600) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = log.read_text()
    assert "Traceback" not in said, said
    assert not [line for line in said.splitlines() if line.strip().startswith("-")], "a time before the beginning"
    check_as_undisturbed(store, peace, "small")
    assert all(0 <= stage.record().seconds < 120 for stage in StoreFolder(store).stages())


def begun(store: Path) -> bool:
    return bool(list(store.glob("stages/*/metrics.jsonl*")))


def records(store: Path) -> int:
    return len(list(store.glob("stages/*/record.json")))


def set_by(clock: Path, seconds: float) -> None:
    (new := clock.with_suffix(".new")).write_text(str(seconds))
    new.replace(clock)
