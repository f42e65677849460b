"""Whole runs on a disk that fills: a small tmpfs, so only as root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_disk import fill, needs_root, small_disk
from undisturbed import check_as_undisturbed

pytestmark = [
    pytest.mark.drill,
    pytest.mark.cluster,
    needs_root,
]


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
def run(write_spec, disk, tmp_path):
    """Give a function that starts a run on the disk; what it says goes into a file beside it."""
    spec = write_spec(("max_steps: 4", "max_steps: 60"), ("[0, 20, 40]", "[0, 20]"))
    store = disk / "store"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started = []

    def start(name: str, store: Path = store) -> tuple[subprocess.Popen, Path]:
        log = tmp_path / f"{name}.log"
        command = [sys.executable, "-m", "mfsweep", "run", str(spec), "--store", str(store)]
        with log.open("wb") as file:
            started.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
        return started[-1], log

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until(condition, process: subprocess.Popen, log: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def check_whole(disk: Path, run: Callable[..., tuple[subprocess.Popen, Path]], tmp_path: Path) -> None:
    process, log = run("peace", tmp_path / "peace")
    assert process.wait(timeout=400) == 0, log.read_text()
    check_as_undisturbed(disk / "store", tmp_path / "peace", "small")


def test_a_disk_that_fills_makes_stages_wait_and_they_go_on_when_there_is_room(disk, run, tmp_path):
    process, log = run("first")
    wait_until(lambda: list(disk.glob("store/stages/*/checkpoints/last.pt")), process, log)
    fill(disk)
    wait_until(lambda: "pauses" in log.read_text(), process, log)
    (disk / "filler").unlink()
    assert process.wait(timeout=400) == 0, log.read_text()
    said = log.read_text()
    assert "is full" in said
    assert "Traceback" not in said
    assert "nterrupted" not in said
    check_whole(disk, run, tmp_path)


@pytest.mark.parametrize("leave", [0, 100_000])
def test_a_disk_that_is_full_from_the_start_is_said_and_the_next_run_goes_on(disk, run, leave, tmp_path):
    fill(disk, leave)
    process, log = run("full")
    deadline = time.monotonic() + 180
    while process.poll() is None and "pauses" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    if process.poll() is None:  # it waits for room: the user has waited enough
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 1, log.read_text()
    said = log.read_text()
    assert "is full" in said
    assert "nterrupted" not in said
    assert "Traceback" not in said
    (disk / "filler").unlink()
    process, log = run("again")
    assert process.wait(timeout=400) == 0, log.read_text()
    check_whole(disk, run, tmp_path)
