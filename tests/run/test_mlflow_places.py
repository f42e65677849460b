"""A store that is moved or copied is whole: its MLflow database names no place outside of it."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from mfsweep.run import mlflow_places
from mfsweep.run.mlflow_experiment import MlflowExperiment
from mfsweep.run.tracking import TrackedStage, Tracker
from mfsweep.store import StoreFolder


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """Return a store with MLflow's tables."""
    store = StoreFolder(tmp_path_factory.mktemp("first") / "store")
    store.prepare()
    MlflowExperiment(store.tracking_uri, "warm-up", store.artifacts)
    return store


def client(store):
    return MlflowClient(tracking_uri=store.tracking_uri)


def track(store, name, text):
    """Track one finished stage with an artifact into a store."""
    record = store.root / f"{name}.json"
    record.write_text(text)
    tracker = Tracker.open(
        store.tracking_uri, "spec", sweep="spec", artifacts=store.artifacts, guard=store.tracking_guard
    )
    tracker.add(TrackedStage(name, name, store.root / "no-metrics.jsonl"))
    tracker.finish(name, "FINISHED", artifacts=[record])
    (folder := store.root / "figures").mkdir(exist_ok=True)
    (folder / "law.svg").write_text(text)
    assert tracker.close("FINISHED", [folder]) == []


def stored(root):
    """Return the artifacts in a store: their place below it -> content."""
    return {path.name: path.read_text() for path in (root / "mlartifacts").rglob("*.*")}


def test_a_moved_store_names_no_other_place_and_goes_on_where_it_is(empty_store, tmp_path):
    first = StoreFolder(tmp_path / "first" / "store")
    shutil.copytree(empty_store.root, first.root)
    track(first, "one", "1")
    assert str(tmp_path).encode() not in (first.root / "mlflow.db").read_bytes()
    second = StoreFolder(tmp_path / "second" / "place")
    second.root.parent.mkdir()
    first.root.rename(second.root)
    track(second, "two", "2")
    assert not first.root.exists()
    assert stored(second.root) == {"one.json": "1", "two.json": "2", "law.svg": "2"}
    for run in client(second).search_runs([client(second).get_experiment_by_name("spec").experiment_id]):
        assert run.info.artifact_uri == f"mlflow-artifacts:/{run.info.run_id}/artifacts"


def test_a_store_of_an_earlier_version_forgets_its_old_place(empty_store, tmp_path):
    store = StoreFolder(tmp_path / "now" / "store")
    shutil.copytree(empty_store.root, store.root)
    old = f"file://{tmp_path}/before/store/mlartifacts"
    with sqlite3.connect(store.root / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (old,))
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", ("/elsewhere/mlruns/0",)
        )
        database.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage) VALUES ('theirs', 's3://lab/x', 'active')"
        )
    database.close()
    (number,) = (one.experiment_id for one in client(store).search_experiments() if one.name == "warm-up")
    run = client(store).create_run(number)
    assert run.info.artifact_uri.startswith(old)
    (kept := store.artifacts / run.info.run_id / "artifacts").mkdir(parents=True)
    (kept / "before.txt").write_text("0")
    track(store, "one", "1")
    assert not (tmp_path / "before").exists()
    locations = {one.name: one.artifact_location for one in client(store).search_experiments()}
    assert locations.pop("theirs") == "s3://lab/x"
    assert set(locations.values()) == {mlflow_places.ROOT}
    moved = client(store).get_run(run.info.run_id)
    assert moved.info.artifact_uri == f"mlflow-artifacts:/{run.info.run_id}/artifacts"


def test_a_database_elsewhere_keeps_whole_paths(tmp_path):
    artifacts = tmp_path / "store" / "mlartifacts"
    assert (
        mlflow_places.own_database(f"sqlite:///{tmp_path}/store/mlflow.db", artifacts) == tmp_path / "store/mlflow.db"
    )
    for uri in (f"sqlite:///{tmp_path}/shared.db", "postgresql://host/db", "http://host:5000"):
        assert mlflow_places.own_database(uri, artifacts) is None
