"""Worker groups that are killed, stopped or fail in the middle, on a real local Ray; and the smoke run."""

import contextlib
import io
import os
import signal
import threading
import time

import psutil
import pytest
import torch
from ray._private import state
from ray.util.placement_group import placement_group_table
from rich.console import Console

from mfsweep.metrics_file import entries
from mfsweep.prepare import prepare
from mfsweep.sweep import running as command

ONE_STAGE = (
    ("[0, 20, 40]", "[20]"),
    ("[20, 60]", "[20]"),
    ("result: finetune", "result: pretrain"),
    ("evaluate: [{labels: cc, subset: t}]", ""),
    ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", ""),
    ('[{labels: dft, subset: b, size: "${pretrain_size}"}]', '[{labels: dft, subset: b, size: "${pretrain_size}"}]\n    batch: {max_atoms: 40}'),
    ("  finetune_size: [20]\n", ""),
    ('size: "${finetune_size}"', "size: 20"),
)  # fmt: skip


@pytest.fixture
def sweep(ray_cluster, tmp_path):
    """Give a function that runs a spec with two workers a stage; it returns the summary and the stage's folder."""

    def run(path, **more):
        resources = {"workers": 2, "cpus_per_worker": 1, **more}
        plan = prepare(path, tmp_path / "store", resources)
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        summary = command.run(plan, Console(width=120, file=io.StringIO()), uri)
        (folder,) = plan.store.stages()
        return summary, folder

    return run


def when_training(store, act):
    """Call `act` once when a stage has written metrics; return a function that waits for it and says if it came."""
    done = threading.Event()

    def watch():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(path.stat().st_size for path in (store / "stages").glob("*/metrics.jsonl")) and act():
                done.set()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()

    def came():
        thread.join()
        return done.is_set()

    return came


def kill_one_worker():
    return signal_one_worker(signal.SIGKILL)


def stop_one_worker():
    return signal_one_worker(signal.SIGSTOP)


def signal_one_worker(number):
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::RayTrainWorker"):
                process.send_signal(number)
                return True
    return False


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    return True


def held_groups():
    return {key: group for key, group in placement_group_table().items() if group["state"] != "REMOVED"}


def groups_so_far():
    return sum(actor["ActorClassName"].endswith("TrainController") for actor in state.actors().values())


@pytest.mark.slow
@pytest.mark.parametrize("disturb", [kill_one_worker, stop_one_worker])
@pytest.mark.cluster
def test_a_group_goes_on_after_one_of_its_workers_is_killed_or_hangs(sweep, write_spec, tmp_path, disturb):
    path = write_spec(
        *ONE_STAGE,
        ("max_steps: 4\n    validate_every: 2\n  finetune", "max_steps: 60\n    validate_every: 2\n  finetune"),
    )
    summary, folder = sweep(path)
    assert summary.run == 1
    weights = torch.load(folder.selected, weights_only=True)["state"]
    trained = _losses(folder)
    folder.path.rename(tmp_path / "uninterrupted")

    disturbed = when_training(tmp_path / "store", disturb)
    summary, folder = sweep(path, hung_after_s=20)
    assert disturbed()
    assert (summary.run, summary.failed) == (1, 0), folder.log.read_text()
    assert _losses(folder) == trained, "no step lost, none twice, the same bits"
    resumed = torch.load(folder.selected, weights_only=True)["state"]
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())
    (interruption,) = folder.record().interruptions
    assert ("hung: " in interruption.what) is (disturb is stop_one_worker)
    assert interruption.what in folder.log.read_text()


def _losses(folder):
    found = entries(folder.metrics)
    return [(entry.step, entry.metrics["train.loss"]) for entry in found if "train.loss" in entry.metrics]


@pytest.mark.slow
@pytest.mark.cluster
def test_an_interrupted_group_leaves_nothing_behind(sweep, write_spec, tmp_path):
    path = write_spec(
        *ONE_STAGE,
        ("max_steps: 4\n    validate_every: 2\n  finetune", "max_steps: 100000\n    validate_every: 2\n  finetune"),
    )
    before = held_groups().keys()
    interrupted = when_training(tmp_path / "store", interrupt)
    summary, folder = sweep(path)
    assert interrupted()
    assert summary.exit_code == 130
    assert folder.record() is None
    assert held_groups().keys() <= before
    assert not list((tmp_path / "store" / "ray").iterdir())


@pytest.mark.slow
@pytest.mark.cluster
def test_a_group_that_stays_for_the_next_stage_trains_the_same_bits_as_new_ones(ray_cluster, write_spec, tmp_path):
    path = write_spec(("[0, 20, 40]", "[20]"), ("[20, 60]", "[20, 60]"))
    weights, groups = {}, {}
    for keep in (True, False):
        resources = {"workers": 2, "cpus_per_worker": 1, "groups": 1, "keep_workers": keep}
        plan = prepare(path, tmp_path / f"store-{keep}", resources)
        before = groups_so_far()
        summary = command.run(plan, Console(file=io.StringIO()), f"sqlite:///{tmp_path / 'mlflow.db'}")
        assert (summary.run, summary.failed) == (3, 0)
        groups[keep] = groups_so_far() - before
        weights[keep] = {
            folder.key: torch.load(folder.selected, weights_only=True)["state"] for folder in plan.store.stages()
        }
    assert groups == {True: 1, False: 3}
    assert weights[True].keys() == weights[False].keys()
    for key, own in weights[True].items():
        assert all(torch.equal(own[name], tensor) for name, tensor in weights[False][key].items())


@pytest.mark.slow
@pytest.mark.cluster
def test_an_error_of_all_ranks_is_one_line_and_not_tried_again(sweep, write_spec):
    path = write_spec(
        *ONE_STAGE,
        (
            "    max_steps: 4\n    validate_every: 2\n  finetune",
            "    learning_rate: 1.0e+38\n    max_steps: 4\n    validate_every: 2\n  finetune",
        ),
    )
    summary, folder = sweep(path)
    assert (summary.run, summary.failed) == (0, 1)
    begin, end = folder.log.read_text().splitlines()
    assert "starts with 2 worker(s)" in begin
    assert "TrainingError" in end
    assert "not finite" in end


def test_a_smoke_run_tries_every_kind_of_stage_and_keeps_nothing(without_ray, write_spec, tmp_path):
    console = Console(record=True, width=120, file=io.StringIO())
    plan = prepare(write_spec(), tmp_path / "store", {"groups": 1})
    assert command.smoke(plan, console).exit_code == 0
    assert "0 failed; nothing was kept" in console.export_text()
    assert not list(plan.store.stages())
    assert not list(plan.store.scratch.iterdir())


@pytest.mark.slow
@pytest.mark.cluster
def test_an_error_that_nobody_foresaw_is_tried_again_and_told_in_the_log(ray_cluster, write_spec, tmp_path):
    # A folder where the checkpoint goes: an OSError, which might be the disk's and gone the next time.
    plan = prepare(
        write_spec(("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]")),
        tmp_path / "store",
        {"cpus_per_worker": 2, "max_failures": 1},
    )
    key = next(key for key, node in plan.graph.nodes.items() if node.parent is None)
    log, place = plan.store.stage(key).log, plan.store.stage(key).checkpoints
    place.parent.mkdir(parents=True)
    place.write_text("not a folder")
    summary = command.run(plan, Console(file=io.StringIO()), f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (summary.run, summary.failed, summary.skipped) == (0, 1, 1)
    said = log.read_text()
    assert said.count("starts with 1 worker(s)") == 2
    assert "FileExistsError" in said or "NotADirectoryError" in said
    assert said.count("; it starts again from its last checkpoint") == 1
    assert said.count(" failed for good: ") == 1
