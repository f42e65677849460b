"""Whole sweeps in a store on a real server of S3's protocol, from several hosts: each has its working copy alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from object_storage import BUCKET, KEYS, storage

from mfsweep.metrics_file import entries
from mfsweep.store.remote import RemoteStore, remote_verify
from mfsweep.store.remote.units import TRAINED

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

PASSWORD = "not-a-real-password"
STAGES = 8
"""Of the spec that `write_spec` writes."""


@pytest.fixture(scope="module", autouse=True)
def server():
    with storage():
        yield


@pytest.fixture
def start(tmp_path, write_spec):
    """Give a function that starts a command on a host, which is a folder with its own working copies."""
    started = []

    def begin(host, *words, **more):
        folder = tmp_path / host
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "MFSWEEP_CACHE": str(folder), "MLFLOW_TRACKING_PASSWORD": PASSWORD, **more}
        command = [sys.executable, "-m", "mfsweep", *map(str, words)]
        started.append(
            subprocess.Popen(
                command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True,
            )
        )  # fmt: skip
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def outcome(process):
    """Return what `run --json` printed, once it has ended."""
    said, beside = process.communicate(timeout=3000)
    assert process.returncode == 0, beside
    return json.loads(said)


def test_two_runs_at_once_on_two_hosts_train_each_stage_once_and_a_third_reads_them(start, write_spec, tmp_path):
    spec, url = write_spec(), f"s3://{BUCKET}/two"
    runs = [start(host, "run", spec, "--store", url, "--groups", 1, "--json") for host in "ab"]
    ended = [outcome(run) for run in runs]
    assert sum(one["run"] for one in ended) == STAGES
    assert [one["run"] + one["reused"] for one in ended] == [STAGES, STAGES]
    remote = RemoteStore.at(url)
    assert sum(TRAINED in units for units in remote.stages().values()) == STAGES
    assert remote_verify.verify(remote).findings == []
    (copy,) = (tmp_path / "a").iterdir()
    records = [json.loads((copy / "stages" / key / "record.json").read_text()) for key in remote.stages()]
    assert len({record["started"] for record in records}) == STAGES, "each tells of one training"
    rows = json.loads(start("c", "status", spec, "--store", url, "--json").communicate(timeout=600)[0])["stages"]
    assert {row["state"] for row in rows} == {"done"}
    assert outcome(start("c", "run", spec, "--store", url, "--json"))["reused"] == STAGES
    assert not list((tmp_path / "c").rglob("selected.pt")), "whoever only reads copies no weights"
    written = [path.read_bytes() for host in "abc" for path in (tmp_path / host).rglob("*") if path.is_file()]
    put = [remote.objects.get(name) for name in remote.objects.names("")]
    for secret in (PASSWORD, KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_ACCESS_KEY_ID"]):
        assert not any(secret.encode() in content for content in [*written, *put])


def test_a_run_that_is_interrupted_goes_on_on_another_host_to_the_same_bits(start, write_spec, tmp_path):
    long = (
        "    max_steps: 4\n    validate_every: 2\n  finetune",
        "    max_steps: 400\n    validate_every: 2\n  finetune",
    )
    spec, url = write_spec(long, ("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]")), f"s3://{BUCKET}/resumed"
    first = start("a", "run", spec, "--store", url, "--groups", 1)
    deadline = time.monotonic() + 1500
    while step(tmp_path / "a") < 6:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=600)
    assert first.returncode == 130
    assert f"--store {url}" in said, "the command to go on with names the store as the user does"
    assert outcome(start("b", "run", spec, "--store", url, "--groups", 1, "--json"))["run"] == 2
    (log,) = (path for path in (tmp_path / "b").rglob("train.log") if "goes on from step" in path.read_text())
    assert f"where another machine has left it at {url}" in log.read_text()
    assert outcome(start("whole", "run", spec, "--store", tmp_path / "store", "--groups", 1, "--json"))["run"] == 2
    for path in (tmp_path / "store" / "stages").glob("*/checkpoints/selected.pt"):
        (resumed,) = (tmp_path / "b").glob(f"*/stages/{path.parts[-3]}/checkpoints/selected.pt")
        ours, theirs = (torch.load(one, weights_only=True)["state"] for one in (resumed, path))
        assert all(ours[name].equal(theirs[name]) for name in theirs)


def step(folder):
    """Return how far the furthest stage of a host is."""
    files = folder.glob("*/stages/*/metrics.jsonl")
    return max((entry.step for path in files for entry in entries(path)), default=0)
