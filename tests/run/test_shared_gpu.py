"""Stages of one worker that share a GPU: how many are out at a time, and on which card Ray puts them.

The cluster is real, its cards are not: Ray counts them and asks nothing of them.
"""

from __future__ import annotations

import json
import subprocess
import sys

import clusters
import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

DRIVER = """
import json, sys, time
from pathlib import Path
import ray
from ray import tune
from mfsweep.run.cluster import connected, trial_resources
from mfsweep.run.room import Room
from mfsweep.spec.resources import Resources

resources, folder, number = Resources(workers=1, gpus_per_worker=float(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])

def trial(config):
    (folder / str(config["number"])).write_text(json.dumps(ray.get_gpu_ids()))
    while len(list(folder.iterdir())) < number:  # only all of them at a time let each other go
        time.sleep(0.05)
    tune.report({"done": True})

with connected(dashboard=False):
    room = Room({"stage": resources}).at_a_time(0)
    trials = tune.with_resources(trial, trial_resources(resources, "mace"))
    results = tune.Tuner(
        trials,
        param_space={"number": tune.grid_search(list(range(number)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=room),
        run_config=tune.RunConfig(storage_path=str(folder.parent / "tune")),
    ).fit()
    print(json.dumps({"room": room, "done": sum(one.metrics.get("done", False) for one in results)}))
"""


@pytest.mark.parametrize(("gpus", "each", "cards"), [(1, 0.25, [4]), (2, 0.4, [2, 2])])
def test_as_many_stages_run_at_a_time_as_share_the_cards(tmp_path, gpus, each, cards):
    folder, number = tmp_path / "started", sum(cards)
    folder.mkdir()
    with clusters.cluster({"CPU": 8, "GPU": gpus}) as cluster:
        run = subprocess.run(
            [sys.executable, "-c", DRIVER, str(each), str(folder), str(number)],
            env=cluster.environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {"room": number, "done": number}
    on = [card for file in folder.iterdir() for card in json.loads(file.read_text())]
    assert sorted(on.count(card) for card in range(gpus)) == cards
