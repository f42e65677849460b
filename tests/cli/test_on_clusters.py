"""Sweeps on real clusters of several raylets, as docs/how-to/cluster.md has them: grown from nothing, stopped, bereft of nodes.

Minutes on two cores: every worker is a process that imports torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import RAY, autoscaling, cluster, until, watching
from mlflow import MlflowClient
from undisturbed import check_as_undisturbed

from mfsweep.metrics_file import entries
from mfsweep.run.tracking import Tracker
from mfsweep.store import StoreFolder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SPEC = """\
name: small
data:
  source: bundled:mini-ccx
  labels:
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
  splits:
    a: {size: 40, validation: 10, needs: [dft]}
    t: {size: 40, needs: [dft]}
    b: {size: rest, validation: 20, needs: [dft]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
axes:
  pretrain_size: SIZES
stages:
  pretrain:
    train: [{labels: dft, subset: b, size: "${pretrain_size}"}]
    batch: {max_atoms: 40}
    max_steps: STEPS
    validate_every: 5
result: pretrain
evaluate: [{labels: dft, subset: t}]
resources: {workers: 2, gpus_per_worker: 0, max_failures: 0}
"""


@pytest.fixture
def spec(tmp_path):
    """Give a function that writes the spec into a folder of its own."""

    def write(sizes="[20, 40]", steps=60):
        folder = tmp_path / "specs"
        folder.mkdir(exist_ok=True)
        path = folder / "small.yaml"
        path.write_text(SPEC.replace("SIZES", sizes).replace("STEPS", str(steps)))
        return path

    return write


def job(made, *words, cwd=None):
    """Return a finished `ray job` command."""
    environment = made.environment(RAY_ADDRESS=made.dashboard)
    return subprocess.run(
        [RAY, "job", *words], env=environment, cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )


def submit(made, spec, store, name, *options, wait=True, ships=True):
    """Submit a run as docs/how-to/cluster.md does.

    The raylets of a test share one machine, and so the folder in which each unpacks the working directory anew: the
    run goes to the specs' own folder at once. Where two come at the same time, a worker of the first may lose the
    folder in which it starts: then nothing is shipped.
    """
    command = f"cd {spec.parent} && exec mfsweep run {spec.name} --store {store} {' '.join(options)}"
    return job(
        made, "submit", "--submission-id", name, *([] if wait else ["--no-wait"]),
        *(["--working-dir", "."] if ships else []), "--runtime-env-json", '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}', "--", "sh", "-c", command, cwd=spec.parent,
    )  # fmt: skip


def test_from_an_empty_cluster_to_the_report_and_back_to_nothing(spec, tmp_path):
    path, store = spec(), tmp_path / "store"
    with autoscaling({"CPU": 2, "GPU": 2}, 2, idle_minutes=0.6) as made, watching(made) as seen:
        until(lambda: seen() and seen()[-1]["nodes"] == 1)
        done = submit(made, path, store, "first", ships=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 stages at a time, on nodes that start as they are needed; 0 stages fit on the nodes" in done.stdout
        assert "2 stages run, 0 reused, 0 failed" in done.stdout
        assert StoreFolder(store).sweep("small").report.exists()
        until(lambda: seen()[-1]["nodes"] == 1)
        looks = seen()
        assert max(look["nodes"] for look in looks) == 3, "the head and two that came"
        assert max(look["groups"] for look in looks) == 2, "both stages at once"
        assert looks[-1]["all"] == 0


def test_one_that_hides_its_limits_grows_too_and_its_word_is_the_refusal(spec, tmp_path):
    path, store = spec(sizes="[20]", steps=10), tmp_path / "store"
    with autoscaling({"CPU": 2, "GPU": 2}, 1, hidden=True) as made:
        done = submit(made, path, store, "fits")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "its limits are not known here" in done.stdout
        refused = submit(made, path, tmp_path / "other", "never", "--workers", "4")
        assert refused.returncode != 0
        assert "the cluster's autoscaler says that it can never serve one stage, which needs 4 CPU" in refused.stdout
        assert "Traceback" not in refused.stdout


def test_stopped_and_submitted_again_ten_times_it_leaves_no_group_and_goes_on(spec, tmp_path):
    path = spec(steps=200)  # more than are taken until the last stop
    with cluster({"CPU": 2}) as made, watching(made) as seen:
        for number in range(10):
            submit(made, path, tmp_path / "store", f"stopped-{number}", "--groups", "2", wait=False)
            # At a different moment each time: from waiting for a group to training.
            until(lambda: seen()[-1]["all"] >= 1)
            time.sleep(number % 5)
            job(made, "stop", f"stopped-{number}")
            until(lambda: seen()[-1]["all"] == 0, 90)
        done = submit(made, path, tmp_path / "store", "last")
        assert done.returncode == 0, done.stdout + done.stderr
        undisturbed = submit(made, path, tmp_path / "undisturbed", "undisturbed")
        assert undisturbed.returncode == 0, undisturbed.stdout
    check_as_undisturbed(tmp_path / "store", tmp_path / "undisturbed", "small")


def test_a_detached_run_is_cancelled_at_a_checkpoint_and_goes_on_when_it_is_submitted_again(spec, tmp_path):
    path, store = spec(sizes="[20]", steps=400), tmp_path / "store"
    with cluster({"CPU": 1}) as made:

        def mfsweep(*words):
            command = [Path(sys.executable).with_name("mfsweep"), *words, "--address", made.dashboard]
            environment = made.environment()
            del environment["RAY_ADDRESS"]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

        run = ("run", path, "--store", store, "--workers", "1", "--detach")
        done = mfsweep(*run)
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: any(metrics.stat().st_size for metrics in (store / "stages").glob("*/metrics.jsonl")))
        said = mfsweep("status", path, "--store", store).stdout
        assert re.search(r"\d+ of 400", said), said
        assert "1 running" in said
        assert " running since " in said
        assert " stopped since " in mfsweep("cancel", "small").stdout
        (folder,) = StoreFolder(store).stages()
        assert folder.record() is None
        assert not folder.is_claimed()
        mfsweep(*run)
        followed = mfsweep("logs", "small", "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "1 stages run, 0 reused, 0 failed" in followed.stdout
    steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
    assert steps == list(range(1, 401)), "no step lost, none twice"


def test_a_lost_node_is_no_failure_and_is_said_in_log_screen_and_record(spec, tmp_path):
    path, store = spec(sizes="[20]", steps=100), tmp_path / "store"
    with cluster({"CPU": 2}) as made:
        submit(made, path, store, "spot", wait=False)
        until(lambda: any(metrics.stat().st_size for metrics in (store / "stages").glob("*/metrics.jsonl")))
        made.kill_node()
        made.add_node(CPU=2)
        until(lambda: "succeeded" in job(made, "status", "spot").stdout, 240)
        said = job(made, "logs", "spot").stdout
        (folder,) = StoreFolder(store).stages()
        undisturbed = submit(made, path, tmp_path / "undisturbed", "undisturbed")
        assert undisturbed.returncode == 0, undisturbed.stdout
    (lost,) = folder.record().interruptions
    assert lost.what.startswith("lost the node ")
    assert "with rank 0, 1" in lost.what
    assert f"again  pretrain pretrain_size=20: {lost.what}" in said
    assert "not counted as a failure" in folder.log.read_text()
    check_as_undisturbed(store, tmp_path / "undisturbed", "small")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_that_is_about_to_go_is_left_with_the_state_saved(spec, tmp_path, workers):
    path, store, first = spec(sizes="[20]", steps=600), tmp_path / "store", "a" * 56
    text = (
        path.read_text()
        .replace("validate_every: 5", "validate_every: 500")
        .replace("workers: 2", f"workers: {workers}")
    )
    path.write_text(text + "execution: {checkpoint_every_minutes: 0.02}\n")
    with cluster() as made:
        made.add_node(node_id=first, CPU=2)
        submit(made, path, store, "spot", wait=False)
        until(lambda: any(metrics.stat().st_size for metrics in (store / "stages").glob("*/metrics.jsonl")))
        made.add_node(CPU=2)
        made.drain(first, 600)
        until(lambda: "succeeded" in job(made, "status", "spot").stdout, 240)
        said = job(made, "logs", "spot").stdout
        (folder,) = StoreFolder(store).stages()
        path.write_text(text + "execution: {checkpoint_every_minutes: 0}\n")
        undisturbed = submit(made, path, tmp_path / "undisturbed", "undisturbed")
        assert undisturbed.returncode == 0, undisturbed.stdout
    (left,) = folder.record().interruptions
    assert "is about to go; its state is saved" in left.what
    assert f"again  pretrain pretrain_size=20: {left.what}" in said
    steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
    assert steps == list(range(1, 601)), "no step lost, none twice"
    check_as_undisturbed(store, tmp_path / "undisturbed", "small")


def test_the_same_spec_run_twice_at_once_trains_and_shows_each_stage_once(spec, tmp_path):
    path, store = spec(sizes="[20, 30, 40, 60]", steps=100), tmp_path / "store"
    store.mkdir()
    command = [Path(sys.executable).with_name("mfsweep"), "run", path, "--store", store, "--workers", "1", "--json"]
    Tracker.open(
        f"sqlite:///{store / 'mlflow.db'}",
        "small",
        sweep="small",
        artifacts=store / "mlartifacts",
        guard=tmp_path / "guard",
    ).close("FINISHED")  # a store that has been in use
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=600) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    found = [json.loads(out) for out, _ in said]
    assert sum(one["run"] for one in found) == 4, "each stage is counted by the run that trained it"
    assert [one["run"] + one["reused"] for one in found] == [4, 4]
    logs = [folder.log.read_text() for folder in StoreFolder(store).stages()]
    assert all(log.count("starts with") == 1 for log in logs), "no trial waited with a stage's workers"
    client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "small"]
    shown = client.search_runs([experiment.experiment_id], "tags.`mfsweep.kind` = 'stage'")
    assert sorted(run.data.tags["mfsweep.stage_key"] for run in shown) == sorted(
        folder.key for folder in StoreFolder(store).stages()
    )
    assert {run.info.status for run in shown} == {"FINISHED"}


@pytest.mark.parametrize("keeps_state", [True, False])
def test_a_head_that_goes_away_is_waited_for_and_else_the_next_run_goes_on(spec, tmp_path, keeps_state):
    path, store = spec(sizes="[20]", steps=400), tmp_path / "store"
    command = [Path(sys.executable).with_name("mfsweep"), "run", path, "--store", store, "--workers", "1"]
    with cluster({"CPU": 1}, keeps_state=keeps_state) as made, (tmp_path / "said").open("w") as out:
        run = subprocess.Popen(command, env=made.environment(), stdout=out, stderr=out)
        until(lambda: any(metrics.stat().st_size for metrics in (store / "stages").glob("*/metrics.jsonl")))
        start = made.kill_head()
        until(lambda: "does not answer. The run waits for it" in (tmp_path / "said").read_text())
        head = start() if keeps_state else None
        code = run.wait(300)
    if head:
        head.wait()
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    if keeps_state:
        assert code == 0, said
        assert "answers again; the run goes on" in said
        assert "1 stages run, 0 reused, 0 failed" in said
    else:
        assert code == 1, said
        assert "the run ends. Start the cluster and run the same command again" in said
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = StoreFolder(store).stages()
    steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
    assert steps == list(range(1, 401)), "no step lost, none twice"
    undisturbed = tmp_path / "undisturbed"
    subprocess.run([*command[:4], undisturbed, *command[5:]], capture_output=True, timeout=600, check=True)
    check_as_undisturbed(store, undisturbed, "small")


def test_the_quickstart_on_two_nodes_of_which_one_is_killed_in_the_middle(tmp_path):
    """Cut to a few steps a stage: all of its 42 stages."""
    text = (ROOT / "search_spaces" / "quickstart.yaml").read_text()
    assert text.count("max_steps: 5000") == text.count("validate_every: 50") == 1
    path, store = tmp_path / "quickstart.yaml", tmp_path / "store"
    path.write_text(
        text.replace("max_steps: 5000", "max_steps: 20").replace("validate_every: 50", "validate_every: 10")
    )
    with cluster({"CPU": 1}, {"CPU": 1}) as made:
        submit(made, path, store, "quickstart", wait=False, ships=False)
        until(lambda: sum(folder.record() is not None for folder in StoreFolder(store).stages()) >= 8)
        made.kill_node()
        until(lambda: "succeeded" in job(made, "status", "quickstart").stdout, 300)
        said = job(made, "logs", "quickstart").stdout
        undisturbed = submit(made, path, tmp_path / "undisturbed", "undisturbed", ships=False)
        assert undisturbed.returncode == 0, undisturbed.stdout
    assert "42 stages run, 0 reused, 0 failed" in said
    assert (store / "sweeps" / "quickstart" / "report.html").exists()
    check_as_undisturbed(store, tmp_path / "undisturbed", "quickstart", thinned=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_pauses_the_stages_and_says_so(spec, tmp_path):
    path, disk = spec(sizes="[20]", steps=400), tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=True)
    try:
        with (tmp_path / "said").open("w") as out:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("mfsweep"), "run", path, "--store", disk / "store", "--workers", "1"],
                stdout=out, stderr=out,
            )  # fmt: skip
        until(lambda: any(metrics.stat().st_size for metrics in (disk / "store/stages").glob("*/metrics.jsonl")))
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"\0" * (1 << 16))
        said = tmp_path / "said"
        until(lambda: "pauses  pretrain pretrain_size=20: " in said.read_text(), 120)
        assert f"the disk of {disk / 'store'} is full" in said.read_text()
        (disk / "ballast").unlink()
        assert process.wait(240) == 0, said.read_text()
        (folder,) = StoreFolder(disk / "store").stages()
        assert folder.record().steps == 400
        steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
        assert steps == list(range(1, 401)), "no step lost, none twice"
        assert "Traceback" not in said.read_text()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
