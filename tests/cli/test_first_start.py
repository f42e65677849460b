"""`mfsweep run` on a store that has no databases yet: killed at any moment of it, and several at once.

All stages are done already, so that no Ray is started: what is left is what stands around the trainings.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from finished import finish
from mlflow import MlflowClient

from mfsweep.prepare import prepare

pytestmark = pytest.mark.drill

TIMES = 10


@pytest.fixture
def plan(write_spec, store):
    made = prepare(write_spec(), store.root)
    finish(made)
    return made


def start(plan) -> subprocess.Popen:
    command = [sys.executable, "-m", "mfsweep", "run", str(plan.spec.document.path), "--store", str(plan.store.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def make_fresh(plan) -> None:
    """Leave nothing in the store but its stages."""
    for path in plan.store.root.iterdir():
        if path.name != "stages":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def check(plan, processes: list[subprocess.Popen]) -> None:
    """Let runs come to their end, and look at what they leave."""
    for process in processes:
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        assert "Traceback" not in said
        assert "MLflow:" not in said
        assert f"0 stages run, {len(plan.graph.nodes)} reused, 0 failed" in said
    client = MlflowClient(plan.store.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name(plan.name).experiment_id])
    assert len(runs) == len(plan.graph.nodes) + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert plan.store.sweep(plan.name).report.exists()


def test_a_run_killed_at_a_random_moment_of_its_start_keeps_no_later_one_from_going_on(plan):
    began = time.monotonic()
    check(plan, [start(plan)])
    whole = time.monotonic() - began
    draw = random.Random(0)
    killed = 0
    for _ in range(TIMES):
        make_fresh(plan)
        process = start(plan)
        time.sleep(draw.uniform(0.2, 1.0) * whole)
        process.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.communicate(timeout=600)
        killed += process.returncode != 0
        check(plan, [start(plan)])
    assert killed, "one of them before its end, at least"


def test_three_runs_at_once_on_a_fresh_store_all_go_well(plan):
    for _ in range(TIMES):
        make_fresh(plan)
        check(plan, [start(plan) for _ in range(3)])
