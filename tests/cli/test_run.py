"""Whole sweeps on a real local Ray, on real labels, mirrored into a real sqlite MLflow."""

import contextlib
import gzip
import io
import os
import shutil
import signal
import threading
import time

import mlflow
import psutil
import pytest
import torch
from ray._private import state
from rich.console import Console
from without_ray import run_in_process

from mfsweep.errors import ResourceError, StoreError
from mfsweep.metrics_file import entries, packed
from mfsweep.prepare import prepare
from mfsweep.run.kept import in_words
from mfsweep.run.room import Room
from mfsweep.spec.resources import Resources
from mfsweep.sweep import places
from mfsweep.sweep.status import status
from mfsweep.sweep.sweep import Sweep


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def sweep(tmp_path, tracking_uri):
    """Give a function that runs a spec as a notebook does; it returns the summary and what was printed."""

    def run(path, **resources):
        console = Console(record=True, width=120, file=io.StringIO())
        # One trial at a time: each worker process imports torch and Ray anew, which is most of what a small sweep costs.
        resources = {"groups": 1, **resources}
        summary = Sweep(path, tmp_path / "store", resources=resources).run(console, tracking_uri=tracking_uri)
        return summary, console.export_text()

    return run


def counts(summary):
    return summary.run, summary.reused, summary.failed, summary.skipped, summary.exit_code


ZERO_SHOT = (
    "    validate_every: 2\n  finetune",
    "    validate_every: 2\n    evaluate: [{labels: cc, subset: t, head: dft}]\n  finetune",
)


@pytest.mark.cluster
def test_a_sweep_runs_once_is_reused_and_grows_by_what_is_new(
    ray_cluster, sweep, write_spec, tmp_path, tracking_uri, monkeypatch
):
    summary, said = sweep(write_spec(ZERO_SHOT), groups=2)
    assert counts(summary) == (8, 0, 0, 0, 0)
    store = prepare(write_spec(ZERO_SHOT), tmp_path / "store").store
    report = store.sweep("small").report.read_text()
    assert "transfer" in report
    assert "transfer" in said
    assert said.splitlines()[-1].startswith("Pre-training on "), "the run ends in a sentence"
    ended = [line for line in said.splitlines() if " done " in line]
    assert len(ended) == 8
    kept = {node.key: in_words(store, node) for node in prepare(write_spec(ZERO_SHOT), store.root).graph.nodes.values()}
    assert all(any(line.endswith(text) for line in ended) for text in kept.values())
    for folder in store.stages():
        record = folder.record()
        assert record.steps == 4
        assert record.stop_reason == "max_steps"
        assert all(share.batches for share in record.shares)

    assert all(folder.is_tidy for folder in store.stages())

    before = {folder.key: folder.record_path.stat().st_mtime_ns for folder in store.stages()}
    untidy = next(store.stages())  # as a run that was killed behind the record left it
    shutil.copy(untidy.selected, untidy.last)
    untidy.metrics.write_bytes(gzip.decompress(packed(untidy.metrics).read_bytes()))
    assert counts(sweep(write_spec(ZERO_SHOT))[0]) == (0, 8, 0, 0, 0)
    assert untidy.is_tidy
    assert [entry.step for entry in entries(untidy.metrics)] == [1, 2, 2, 3, 4, 4]

    lost = next(
        folder for folder in store.stages() if folder.record().parent is None and "dft" in folder.record().heads
    )
    shutil.rmtree(lost.path)
    del before[lost.key]
    run_in_process(monkeypatch)
    grown = write_spec(ZERO_SHOT, ("[20, 60]", "[20, 40, 60]"))
    assert counts(sweep(grown)[0]) == (4, 7, 0, 0, 0), (
        "three are new; a lost parent is made again, its children are not"
    )
    after = {folder.key: folder.record_path.stat().st_mtime_ns for folder in store.stages()}
    assert before.items() <= after.items()

    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id], filter_string="tags.`mfsweep.kind` = 'stage'")
    assert len(runs) == 11
    leaf = next(
        r for r in runs if r.data.params.get("pretrain_size") == "40" and r.data.params.get("finetune_size") == "60"
    )
    assert {
        "pretrain/validation.dft.energy_mae",
        "validation/cc.energy_mae",
        "test/cc.energy_mae",
        "pretrain/test.cc:dft.energy_mae",  # MLflow knows no @ in a name
    } <= leaf.data.metrics.keys()
    assert leaf.info.status == "FINISHED"
    direct = [run for run in runs if run.data.params.get("pretrain_size") == "0"]
    assert len(direct) == 3, "direct training is drawn beside the others, at 0"
    assert {run.data.tags["replicate"] for run in runs} == {"seed=0"}
    assert {run.data.tags["end"] for run in runs} == {"capped"}
    (whole,) = client.search_runs([experiment.experiment_id], filter_string="tags.`mfsweep.kind` = 'sweep'")
    assert whole.data.metrics["best/result.test.cc.energy_mae"] > 0
    assert "finetune_size=" in whole.data.tags["best.result.test.cc.energy_mae"]
    for run in runs:
        for name in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            assert len(steps) == len(set(steps)), f"{name} has one point a step, its last one too"


def test_a_failed_stage_fails_its_descendants_only_and_is_named_with_its_log(without_ray, sweep, write_spec, tmp_path):
    # A learning rate that overflows: a failure of training itself, found only while it runs.
    path = write_spec(
        ("    max_steps: 4\n    validate_every: 2\n  finetune", '    learning_rate: "${rate}"\n    max_steps: 4\n    validate_every: 2\n  finetune'),
        ("[0, 20, 40]", "[20]\n  rate: [1.0e-3, 1.0e+38]"),
        ("[20, 60]", "[20]"),
    )  # fmt: skip
    summary, said = sweep(path)
    assert counts(summary) == (2, 0, 1, 1, 1)
    (failure,) = summary.failures
    assert "rate=1e+38" in failure.stage
    assert str(failure.log) in said.replace("\n", "")
    assert "not finite" in failure.log.read_text()
    assert "not finite" in failure.reason
    assert f"failed: {failure.stage}: {failure.reason.splitlines()[0]}" in said.replace("\n", "")
    (skipped,) = summary.not_run
    assert skipped.reason == f"{failure.stage} failed"
    rows = {row.key: row.as_json() for row in status(prepare(path, tmp_path / "store"))}
    assert [row["state"] for row in rows.values()].count("failed") == 1
    assert rows[failure.key]["state"] == "failed"
    assert rows[failure.key]["reason"] == failure.reason
    assert rows[skipped.key]["state"] == "to do"
    assert "Traceback" not in failure.log.read_text()


@pytest.mark.cluster
def test_a_stage_goes_on_after_its_worker_is_killed(ray_cluster, sweep, write_spec, tmp_path):
    path = write_spec(("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]"), ("max_steps: 4", "max_steps: 60"))
    killed = threading.Event()

    def kill_the_first_worker():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed.is_set():
            for metrics in (tmp_path / "store" / "stages").glob("*/metrics.jsonl"):
                pid = _training_process()
                if pid and metrics.stat().st_size:
                    os.kill(pid, signal.SIGKILL)
                    killed.set()
                    return
            time.sleep(0.02)

    watcher = threading.Thread(target=kill_the_first_worker)
    watcher.start()
    summary, _ = sweep(path)
    watcher.join()
    assert killed.is_set()
    assert counts(summary) == (2, 0, 0, 0, 0)
    for folder in prepare(path, tmp_path / "store").store.stages():
        trained = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
        assert trained == list(range(1, 61)), "no step lost, none twice"


def _training_process():
    """Return the id of an actor of this session's Ray that runs a stage."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] == ["ray::ImplicitFunc.train"]:
                return process.pid
    return None


ONE_FOR_ALL = {"Ledger"}
"""Actors of which a cluster has one, whoever made it: that by which sweeps share."""


def outlasting():
    """Return the classes of the living actors that outlast the run which made them."""
    actors = [one for one in state.actors().values() if one["IsDetached"] and one["State"] != "DEAD"]
    return {one["ActorClassName"].rpartition(".")[2] for one in actors}


@pytest.mark.cluster
def test_a_group_of_workers_gives_the_numbers_of_one_and_goes(ray_cluster, sweep, write_spec, tmp_path, monkeypatch):
    changes = (
        ("[0, 20, 40]", "[20]"),
        ("[20, 60]", "[20]"),
        ("resources:", "precision: float64\nresources:"),
        ("result: finetune", "result: pretrain"),
        ("evaluate: [{labels: cc, subset: t}]", ""),
        ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", ""),
        ('[{labels: dft, subset: b, size: "${pretrain_size}"}]', '[{labels: dft, subset: b, size: "${pretrain_size}"}]\n    batch: {max_atoms: 40}'),
        ("  finetune_size: [20]\n", ""),
        ('size: "${finetune_size}"', "size: 20"),
    )  # fmt: skip
    path = write_spec(*changes)
    with monkeypatch.context() as patch:
        run_in_process(patch)
        alone, _ = sweep(path)
    assert counts(alone)[0] == 1
    (folder,) = prepare(path, tmp_path / "store").store.stages()
    of_one = _losses(folder), torch.load(folder.selected, weights_only=True)["state"]
    folder.path.rename(tmp_path / "of-one")
    group, _ = sweep(path, workers=2)
    assert counts(group) == (1, 0, 0, 0, 0)
    assert folder.record().workers == 2
    losses, weights = _losses(folder), torch.load(folder.selected, weights_only=True)["state"]
    assert losses == pytest.approx(of_one[0], rel=1e-9)
    for name, tensor in of_one[1].items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-7, atol=1e-10)
    assert outlasting() <= ONE_FOR_ALL


def _losses(folder):
    return [entry.metrics["train.loss"] for entry in entries(folder.metrics) if "train.loss" in entry.metrics]


@pytest.mark.cluster
def test_resources_that_the_cluster_can_never_give_are_refused(ray_cluster):
    with pytest.raises(ResourceError, match=r"needs 4 GPU \(it has 0 at most\)"):
        Room({"train": Resources(workers=4, gpus_per_worker=1, cpus_per_worker=1)})
    assert Room({"train": Resources(workers=1, gpus_per_worker=0, cpus_per_worker=1)}).at_a_time(0) == 4


def test_a_relative_store_is_refused_inside_a_job(monkeypatch, tmp_path):
    from pathlib import Path

    places.refuse_relative_store(Path("mfsweep-store"))
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    places.refuse_relative_store(tmp_path)
    with pytest.raises(StoreError, match="absolute path"):
        places.refuse_relative_store(Path("mfsweep-store"))


@pytest.mark.cluster
def test_a_folder_that_cannot_be_written_fails_its_stage_alone(ray_cluster, sweep, write_spec, tmp_path):
    path = write_spec(("[20, 60]", "[20]"))
    plan = prepare(path, tmp_path / "store")
    key = next(
        key for key, node in plan.graph.nodes.items() if node.values.get("pretrain_size") == 20 and not node.parent
    )
    plan.store.stage(key).log.mkdir(parents=True)  # whoever writes there meets an OSError, in trial and driver
    summary, said = sweep(path, max_failures=0)
    assert counts(summary) == (3, 0, 1, 1, 1)
    assert f"cannot write the log of {key}: Is a directory" in said
    assert "Traceback" not in said
