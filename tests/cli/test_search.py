"""Searches as they are run: real Optuna studies in sqlite, real labels, a real sqlite MLflow; the run that is killed is
on a real local Ray."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import mlflow
import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from mfsweep.prepare import prepare
from mfsweep.store import StoreFolder
from mfsweep.sweep import results
from mfsweep.sweep import running as command
from mfsweep.sweep.status import status

SEARCH = (
    (
        "axes:\n  pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]\n",
        "axes:\n  alpha: {low: 0.01, high: 0.99, log: true}\n  seed: [0, 1]\nsearch: {objective: validation.cc.energy_mae, trials: 3, parallel: 1}\n",
    ),
    ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", ""),
    (
        '[{labels: dft, subset: b, size: "${pretrain_size}"}]',
        '[{labels: dft, subset: b, size: 20, probability: "${alpha}"}, {labels: cc, subset: a, size: 20}]',
    ),
    ('size: "${finetune_size}"', "size: 20"),
    ("result: finetune", "result: pretrain"),
)  # fmt: skip


@pytest.fixture
def sweep(without_ray, tmp_path):
    """Give a function that runs a spec as the command does; it returns the summary and what was printed."""

    def run(path, store="store"):
        console = Console(record=True, width=120, file=io.StringIO())
        plan = prepare(path, tmp_path / store, {"groups": 1})
        return command.run(plan, console, None), console.export_text()

    return run


def complete(store, name="small"):
    trials = optuna.load_study(study_name=name, storage=store.search_uri).trials
    return [(trial.params["alpha"], trial.value) for trial in trials if trial.state is TrialState.COMPLETE]


def records(store):
    return {folder.key for folder in store.stages() if folder.record() is not None}


@pytest.mark.cluster
def test_a_search_runs_to_its_end_and_goes_on_after_a_kill_as_if_it_had_not_been(
    sweep, write_spec, tmp_path, ray_cluster
):
    path = write_spec(*SEARCH)
    summary, said = sweep(path)
    assert (summary.run, summary.reused, summary.exit_code) == (6, 0, 0)
    whole = StoreFolder(tmp_path / "store")
    assert len(complete(whole)) == 3
    assert "best alpha" in said
    assert "flat region" in said
    (found,) = json.loads(whole.sweep("small").search.read_text())
    assert min(value for _, value in complete(whole)) == pytest.approx(found["best"]["mean"])

    client = mlflow.MlflowClient(whole.tracking_uri)
    experiment = client.get_experiment_by_name("small").experiment_id
    (run,) = client.search_runs([experiment], filter_string="tags.`mfsweep.kind` = 'sweep'")
    assert float(run.data.tags["best.alpha"]) == found["best"]["values"]["alpha"]
    assert len(client.search_runs([experiment], filter_string="tags.`mfsweep.kind` = 'stage'")) == 6

    # What has been asked for is what status, fit and report know.
    plan = prepare(path, whole.root)
    assert [row.state for row in status(plan)] == ["done"] * 6
    assert len(results.analyse(plan).study.cells) == 6

    cut = StoreFolder(tmp_path / "cut")
    arguments = ["run", str(path), "--store", str(cut.root), "--groups", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mfsweep", *arguments],
        env=os.environ | {"RAY_ADDRESS": ray_cluster},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while len(records(cut)) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = records(cut)
    assert 2 <= len(before) < 6
    assert len(complete(cut)) < 3

    summary, _ = sweep(path, "cut")
    assert summary.run + summary.reused == 6
    assert complete(cut) == complete(whole), "the same points with the same values, none twice"
    assert records(cut) == records(whole)


def test_each_value_of_another_axis_has_a_study_and_they_share_what_is_the_same(sweep, write_spec, tmp_path):
    path = write_spec(
        *SEARCH,
        ("  seed: [0, 1]\n", "  last: [pretrain, finetune]\n"),
        ("result: pretrain", 'result: "${last}"'),
        ("trials: 3, parallel: 1", "trials: 2, parallel: 2, sampler: random"),
    )
    store = StoreFolder(tmp_path / "store")
    assert command.smoke(prepare(path, store.root), Console(file=io.StringIO())).exit_code == 0
    assert not records(store)

    summary, said = sweep(path)
    # The sampler draws the same alphas for both studies: the fine-tunings start from the other study's results.
    assert (summary.run, summary.failed) == (4, 0)
    of = {last: complete(store, f"small:last={last}") for last in ("pretrain", "finetune")}
    assert [alpha for alpha, _ in of["pretrain"]] == [alpha for alpha, _ in of["finetune"]]
    assert len(of["pretrain"]) == 2
    assert all(store.stage(key).is_done(_asked(prepare(path, store.root), key)) for key in records(store))
    assert said.count("no standard error with one seed") == 2


def _asked(plan, key):
    return [evaluation.identity() for evaluation in plan.graph.nodes[key].evaluations]
