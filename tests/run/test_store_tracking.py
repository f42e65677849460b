"""The store's own mirror keeps no run from going on, and deserts no one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from mfsweep.files import write_text
from mfsweep.run import tracking
from mfsweep.run.databases import MlflowTables
from mfsweep.run.store_tracking import open_or_go_on
from mfsweep.run.tracking import TrackedStage, Tracker, Untracked
from mfsweep.store import StoreFolder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Make a file with a run in it, once."""
    store = StoreFolder(tmp_path_factory.mktemp("sound"))
    tracker = open_or_go_on(store, "spec", pytest.fail, sweep="spec")
    tracker.add(TrackedStage("k1", "pretrain", store.root / "none.jsonl"))
    tracker.finish("k1", "FINISHED", {"test.cc.energy_mae": 1.0})
    assert tracker.close("FINISHED") == []
    return store.tracking_database


@pytest.fixture(autouse=True)
def quick(sound, monkeypatch):
    """Let a new file be a copy of an empty one, and no test wait for a back-off."""
    monkeypatch.setattr(tracking, "INTERVAL", 0.05)
    monkeypatch.setattr(tracking, "LONGEST_WAIT", 0.2)
    empty = sound.with_name("empty.db")
    if not empty.exists():
        MlflowTables().create(empty)
    monkeypatch.setattr(MlflowTables, "create", lambda _, path: shutil.copyfile(empty, path))


def mirror_a_stage(store: StoreFolder, said: list[str], patience: float = 0.3) -> Tracker | Untracked:
    tracker = open_or_go_on(store, "spec", said.append, sweep="spec")
    tracker.add(TrackedStage("k2", "finetune", store.root / "none.jsonl"))
    tracker.finish("k2", "FINISHED", {"test.cc.energy_mae": 2.0})
    if isinstance(tracker, Tracker):
        said += tracker.close("FINISHED", patience=patience)
    return tracker


def stages(store: StoreFolder) -> dict[str, str]:
    client = MlflowClient(store.tracking_uri)
    found = client.search_runs([client.get_experiment_by_name("spec").experiment_id], "tags.`mfsweep.kind` = 'stage'")
    return {run.data.tags["mfsweep.stage_key"]: run.info.status for run in found}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keep=st.floats(0, 1),
    spots=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=200)), max_size=4),
)
def test_no_state_of_the_file_keeps_a_run_from_going_on(sound, tmp_path_factory, keep, spots):
    store = StoreFolder(tmp_path_factory.mktemp("store"))
    content = bytearray(sound.read_bytes())
    del content[round(keep * len(content)) :]
    for place, junk in spots:
        start = int(place * len(content))
        content[start : start + len(junk)] = junk[: max(0, len(content) - start)]
    store.tracking_database.write_bytes(content)
    mirror_a_stage(store, [])


def test_a_fresh_store_and_a_sound_file_are_used_without_a_word(sound, tmp_path):
    said = []
    store = StoreFolder(tmp_path)
    mirror_a_stage(store, said)
    shutil.copy(sound, store.tracking_database)
    mirror_a_stage(store, said)
    assert said == []
    assert stages(store) == {"k1": "FINISHED", "k2": "FINISHED"}


def test_a_damaged_file_is_set_aside_with_one_word_and_the_run_mirrored(tmp_path):
    store, said = StoreFolder(tmp_path), []
    store.tracking_database.write_text("no database")
    mirror_a_stage(store, said)
    assert len(said) == 1
    assert "set aside as mlflow.db.damaged-1, and made anew" in said[0]
    assert stages(store) == {"k2": "FINISHED"}


def test_a_file_that_cannot_be_made_costs_the_mirror_and_a_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowTables, "create", refuse)
    said = []
    assert isinstance(mirror_a_stage(StoreFolder(tmp_path), said), Untracked)
    (sentence,) = said
    assert sentence.startswith(f"{tmp_path}/mlflow.db cannot be used: No space left on device. This run goes on")


def test_an_experiment_that_was_deleted_before_costs_the_mirror_and_a_sentence(sound, tmp_path):
    store, said = StoreFolder(tmp_path), []
    shutil.copy(sound, store.tracking_database)
    client = MlflowClient(store.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name("spec").experiment_id)
    assert isinstance(mirror_a_stage(store, said), Untracked)
    assert len(said) == 1
    assert "mlflow experiments restore --experiment-id" in said[0]


def test_an_experiment_that_is_deleted_meanwhile_is_one_word(sound, tmp_path, caplog):
    store = StoreFolder(tmp_path)
    shutil.copy(sound, store.tracking_database)
    tracker = open_or_go_on(store, "spec", pytest.fail, sweep="spec")
    client = MlflowClient(store.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name("spec").experiment_id)
    for number in range(3, 6):
        tracker.add(TrackedStage(f"k{number}", f"stage {number}", tmp_path / "none.jsonl"))
        tracker.finish(f"k{number}", "FINISHED", {"test.cc.energy_mae": 2.0})
    assert tracker.close("FINISHED") == []
    (word,) = [one.getMessage() for one in caplog.records if one.name.startswith("mfsweep")]
    assert "the MLflow experiment 'spec' was deleted" in word
    assert "mlflow experiments restore --experiment-id" in word


def test_runs_of_stages_that_no_process_is_at_are_ended_by_the_next_run(sound, tmp_path):
    """After kill -9 and an edited spec: its old stages have no one."""
    store = StoreFolder(tmp_path)
    shutil.copy(sound, store.tracking_database)
    killed = open_or_go_on(store, "spec", pytest.fail, sweep="spec")
    left = {"nobodys", "anothers", "elsewhere"}
    for key in left:
        killed.add(TrackedStage(key, key, tmp_path / "none.jsonl"))
    wait_until(lambda: left < stages(store).keys())
    for key in ("nobodys", "anothers"):
        write_text(store.stage(key).log, "")
    with store.stage("anothers").claim():
        said = []
        mirror_a_stage(store, said)
    assert said == []
    assert stages(store) == {
        "k1": "FINISHED",
        "k2": "FINISHED",
        "nobodys": "KILLED",
        "anothers": "RUNNING",
        "elsewhere": "RUNNING",
    }
    killed.close("KILLED")


def test_a_file_that_is_removed_meanwhile_costs_this_mirror_and_the_next_run_makes_it_again(sound, tmp_path):
    store = StoreFolder(tmp_path)
    shutil.copy(sound, store.tracking_database)
    tracker = open_or_go_on(store, "spec", pytest.fail, sweep="spec")
    store.tracking_database.unlink()
    tracker.add(TrackedStage("k3", "stage", tmp_path / "none.jsonl"))
    tracker.finish("k3", "FINISHED", {"test.cc.energy_mae": 2.0})
    (lost,) = tracker.close("FINISHED", patience=0.3)
    assert "did not answer" in lost
    mirror_a_stage(store, [])
    assert stages(store) == {"k2": "FINISHED"}


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


TOGETHER = """\
import sys
from pathlib import Path
from mfsweep.run.store_tracking import open_or_go_on
from mfsweep.run.tracking import TrackedStage
from mfsweep.store import StoreFolder

store, said = StoreFolder(Path(sys.argv[1])), []
tracker = open_or_go_on(store, "spec", said.append, sweep="spec")
for key in ("k1", "k2", "k3"):
    tracker.add(TrackedStage(key, key, store.root / "none.jsonl"))
    tracker.finish(key, "FINISHED", {"test.cc.energy_mae": 1.0})
said += tracker.close("FINISHED", patience=60.0)
assert not said, said
"""


def begin_together(folder) -> None:
    """Let three sweeps of one spec begin at once on a fresh store."""
    command = [sys.executable, "-c", TOGETHER, str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for process in [subprocess.Popen(command, **pipes) for _ in range(3)]:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    client = MlflowClient(StoreFolder(folder).tracking_uri)
    assert sorted(one.name for one in client.search_experiments()) == ["Default", "spec"]
    found = client.search_runs([client.get_experiment_by_name("spec").experiment_id])
    assert sorted(run.info.run_name for run in found) == ["k1", "k2", "k3", "spec"]
    assert {run.info.status for run in found} == {"FINISHED"}


def test_three_sweeps_that_begin_together_on_a_fresh_store_are_mirrored_as_one(tmp_path):
    begin_together(tmp_path)


@pytest.mark.drill
def test_three_sweeps_that_begin_together_on_a_fresh_store_are_mirrored_as_one_ten_times_over(tmp_path):
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        begin_together(tmp_path / str(number))
