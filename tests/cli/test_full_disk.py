"""Whole runs on a disk that fills: a small tmpfs, so only as root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfsweep.metrics_file import entries
from mfsweep.store import StoreFolder

pytestmark = [
    pytest.mark.drill,
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]


@pytest.fixture
def disk(tmp_path):
    """Give an empty disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    """Take all room of a disk, but for some bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "filler").open("ab", buffering=0) as file:
        left = free - leave
        while left > 0:
            try:
                left -= file.write(b"\0" * min(left, 1 << 16))
            except OSError:
                return


@pytest.fixture
def run(write_spec, disk, tmp_path):
    """Give a function that starts a run on the disk; what it says goes into a file beside it."""
    spec = write_spec(("max_steps: 4", "max_steps: 60"), ("[0, 20, 40]", "[0, 20]"))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started = []

    def start(name: str) -> tuple[subprocess.Popen, Path]:
        log = tmp_path / f"{name}.log"
        command = [sys.executable, "-m", "mfsweep", "run", str(spec), "--store", str(disk / "store")]
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


def check_whole(disk: Path) -> None:
    for folder in StoreFolder(disk / "store").stages():
        assert folder.record() is not None
        steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
        assert steps == list(range(1, 61)), "no step lost, none twice"


def test_a_disk_that_fills_makes_stages_wait_and_they_go_on_when_there_is_room(disk, run):
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
    check_whole(disk)


@pytest.mark.parametrize("leave", [0, 100_000])
def test_a_disk_that_is_full_from_the_start_is_said_and_the_next_run_goes_on(disk, run, leave):
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
    check_whole(disk)
