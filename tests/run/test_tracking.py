"""The MLflow sink on real sqlite files and real servers that die."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, look, needs_chromium
from mlflow_server import Gate, MlflowServer, free_port

from mfsweep.errors import TrackingError
from mfsweep.run import tracking
from mfsweep.run.mlflow_experiment import MlflowExperiment, view_keys
from mfsweep.run.mlflow_names import View, link
from mfsweep.run.mlflow_sweep import SweepRuns
from mfsweep.run.thinning import keeps
from mfsweep.run.tracking import TrackedStage, Tracker
from mfsweep.run.ui import ui_command


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """Make one database with MLflow's tables; making them takes many seconds, copying them none."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowExperiment(f"sqlite:///{path}", "warm-up", path.parent)
    return path


@pytest.fixture
def uri(empty_database, tmp_path) -> str:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    return f"sqlite:///{path}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Look and try again at once, so that no test waits for a back-off."""
    monkeypatch.setattr(tracking, "INTERVAL", 0.05)
    monkeypatch.setattr(tracking, "LONGEST_WAIT", 0.2)


@pytest.fixture
def open_tracker(tmp_path):
    def begin(uri: str, experiment: str = "spec", **options) -> Tracker:
        options = {"sweep": experiment, "artifacts": tmp_path / "artifacts", "guard": tmp_path / "guard"} | options
        return Tracker.open(uri, experiment, **options)

    return begin


def client(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs(uri, kind="stage", experiment="spec"):
    known = client(uri).get_experiment_by_name(experiment)
    found = client(uri).search_runs([known.experiment_id], f"tags.`mfsweep.kind` = '{kind}'")
    return sorted(found, key=lambda run: run.info.start_time)


def history(uri, run, key):
    points = client(uri).get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.value) for point in points)


def write_metrics(path: Path, steps: range, start: float = 0.0) -> None:
    with path.open("a") as file:
        for step in steps:
            metrics = {"train.loss": 1 / (step + 1), "validation.dft.energy_mae": 2 / (step + 1)}
            file.write(json.dumps({"t": start + step, "step": step, "metrics": metrics}) + "\n")


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


def test_a_stage_becomes_one_run_with_lineage_curves_and_end(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(1500))  # 3,000 points: more than one call holds
    figure = tmp_path / "law.svg"
    figure.write_text("<svg/>")
    params = {f"axis_{number}": number for number in range(120)} | {"pretrain_size": 100, "alpha": None}

    tracker = open_tracker(uri, params={"cells": 4}, tags={"group": "chem"})
    tracker.add(TrackedStage("k1", "pretrain", metrics, params=params, tags={"label_method": "dft"}))
    tracker.finish("k1", "FINISHED", {"test.dft.energy_mae": 3.5})
    assert tracker.close("FINISHED", [figure]) == []

    [run] = runs(uri)
    [sweep] = runs(uri, "sweep")
    assert run.info.status == sweep.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == sweep.info.run_id
    assert run.data.tags["group"] == sweep.data.tags["group"] == "chem"
    assert run.data.tags["label_method"] == "dft"
    assert run.data.params["pretrain_size"] == "100"
    assert len(run.data.params) == 121  # an unset value is no param
    assert run.data.metrics["test/dft.energy_mae"] == 3.5
    assert history(uri, run, "train/loss") == [(step, 1 / (step + 1)) for step in range(1500)]
    assert (tmp_path / "artifacts" / sweep.info.run_id / "artifacts" / "law.svg").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"model": "small", "seed": 1}, {"model": "tiny", "seed": 1}),
        ({"model": "small", "seed": 1}, {"architecture": "small", "seed": 1}),
    ],
)
def test_a_stage_goes_by_what_the_spec_calls_its_axes_now(open_tracker, uri, tmp_path, before, after):
    """MLflow changes no param; a bundle or an axis that was renamed is no other training."""
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(20))

    def sweep(params):
        tracker = open_tracker(uri)
        name = " ".join(f"{key}={value}" for key, value in params.items())
        axes = {key: str(value) for key, value in params.items()}
        tracker.add(TrackedStage("k1", name, metrics, params=params, tags=axes))
        tracker.finish("k1", "FINISHED", {"test.dft.energy_mae": 3.5})
        assert tracker.close("FINISHED") == []
        return name

    sweep(before)
    [first] = runs(uri)
    client(uri).set_tag(first.info.run_id, "mlflow.note.content", "the good one")
    name = sweep(after)
    [run] = runs(uri)
    assert run.info.run_name == name
    assert run.data.params == {key: str(value) for key, value in after.items()}
    assert {key: run.data.tags[key] for key in before | after if key in run.data.tags} == run.data.params
    assert run.data.tags["mlflow.note.content"] == "the good one"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/dft.energy_mae"] == 3.5
    assert history(uri, run, "train/loss") == [(step, 1 / (step + 1)) for step in range(20)]
    sweep(after)
    assert runs(uri)[0].info.run_id == run.info.run_id, "what is named the same stays the same run"


def test_curves_appear_while_the_stage_runs(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    tracker = open_tracker(uri)
    tracker.add(TrackedStage("k1", "pretrain", metrics))
    write_metrics(metrics, range(5))
    wait_until(lambda: runs(uri) and runs(uri)[0].data.metrics.get("train/loss") == 1 / 5)
    assert runs(uri)[0].info.status == "RUNNING"
    tracker.finish("k1", "FAILED")
    tracker.close("FAILED")
    assert runs(uri)[0].info.status == "FAILED"


def test_the_parents_error_stands_on_the_leafs_run(open_tracker, uri, tmp_path):
    """MLflow's compare page plots metrics of one run against each other: x and y must be on the same one."""
    tracker = open_tracker(uri)
    for size, x, y in [(25, 9.0, 5.0), (100, 4.0, 3.0)]:
        key = f"leaf{size}"
        tracker.add(TrackedStage(key, "finetune", tmp_path / "none.jsonl", params={"pretrain_size": size}))
        tracker.finish(key, "FINISHED", {"pretrain.validation.dft.energy_mae": x, "test.cc.energy_mae": y})
    assert tracker.close("FINISHED") == []
    points = {
        run.data.params["pretrain_size"]: (
            run.data.metrics["pretrain/validation.dft.energy_mae"],
            run.data.metrics["test/cc.energy_mae"],
        )
        for run in runs(uri)
    }
    assert points == {"25": (9.0, 5.0), "100": (4.0, 3.0)}


def test_the_seconds_of_a_stage_that_is_made_again_are_told_once(open_tracker, uri, tmp_path):
    for seconds in (10.0, 12.0):
        tracker = open_tracker(uri)
        tracker.add(TrackedStage("k1", "pretrain", tmp_path / "none.jsonl"))
        tracker.finish("k1", "FINISHED", {"stage/seconds": seconds, "test.cc.energy_mae": seconds})
        assert tracker.close("FINISHED") == []
    [run] = runs(uri)
    assert history(uri, run, "stage/seconds") == [(0, 10.0)]
    assert history(uri, run, "test/cc.energy_mae") == [(0, 10.0), (0, 12.0)]


def test_the_filter_of_the_docs_shows_the_finetunings(open_tracker, uri, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "tracking.md").read_text()
    (wanted,) = re.findall(r"Filter with\s+`([^`]+)`", page)
    tracker = open_tracker(uri)
    for number, stage in enumerate(["pretrain", "finetune", "finetune"]):
        tracker.add(TrackedStage(f"k{number}", f"{stage} {number}", tmp_path / "none.jsonl", tags={"stage": stage}))
        tracker.finish(f"k{number}", "FINISHED", {}, tags={"end": "converged"})
    view = View(wanted, ["pretrain_size"], ["test/cc.energy_mae"])
    told = {"law/transfer.pooled.gradient": 1.2, "best/result.test.cc.energy_mae": 70.5}
    assert tracker.close("FINISHED", metrics=told, tags={"best": "pretrain_size=300"}, view=view) == []
    experiment = client(uri).get_experiment_by_name("spec")
    found = client(uri).search_runs([experiment.experiment_id], wanted)
    assert sorted(run.info.run_name for run in found) == ["finetune 1", "finetune 2"]
    assert {run.data.tags["end"] for run in found} == {"converged"}
    [sweep] = runs(uri, "sweep")
    assert told.items() <= sweep.data.metrics.items()
    assert view_keys(uri) == {"spec": (experiment.experiment_id, view.key)}
    assert json.loads(experiment.tags[f"mlflow.sharedViewState.{view.key}"])["searchFilter"] == wanted


def test_a_second_sweep_takes_up_the_same_runs(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(10))
    for cells in (4, 6):
        tracker = open_tracker(uri, params={"cells": cells})
        tracker.add(TrackedStage("k1", "pretrain", metrics, params={"seed": 0}))
        tracker.finish("k1", "FINISHED", {"test.cc.energy_mae": float("nan")})
        assert tracker.close("FINISHED") == []
    [run] = runs(uri)
    [sweep] = runs(uri, "sweep")
    assert sweep.data.tags["cells"] == "6"
    assert len(history(uri, run, "train/loss")) == 10
    assert len(client(uri).get_metric_history(run.info.run_id, "test/cc.energy_mae")) == 1


def test_a_curve_ends_in_one_point_and_a_final_number_is_one(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(1, 4))
    for _ in range(2):
        tracker = open_tracker(uri)
        tracker.add(TrackedStage("k1", "pretrain", metrics))
        tracker.finish("k1", "FINISHED", {"validation.dft.energy_mae": 0.25, "kept/validation.dft.energy_mae": 0.25})
        tracker.close("FINISHED")
    [run] = runs(uri)
    assert history(uri, run, "validation/dft.energy_mae") == [(step, 2 / (step + 1)) for step in (1, 2, 3)]
    assert history(uri, run, "kept/validation.dft.energy_mae") == [(0, 0.25)]


def test_an_interrupted_stage_is_killed_then_goes_on_in_its_run(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(8))
    first = open_tracker(uri)
    first.add(TrackedStage("k1", "pretrain", metrics))
    assert first.close("KILLED") == []
    assert runs(uri)[0].info.status == runs(uri, "sweep")[0].info.status == "KILLED"

    metrics.write_text("")  # resumed from the checkpoint at step 5: later lines are dropped and written again
    write_metrics(metrics, range(5))
    write_metrics(metrics, range(5, 12), start=1000.0)
    second = open_tracker(uri)
    second.add(TrackedStage("k1", "pretrain", metrics))
    second.finish("k1", "FINISHED")
    assert second.close("FINISHED") == []
    [run] = runs(uri)
    assert run.info.status == "FINISHED"
    assert history(uri, run, "train/loss") == [(step, 1 / (step + 1)) for step in range(12)]


def test_steps_are_thinned_and_validations_are_whole_however_often_the_stage_is_read(open_tracker, uri, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(700))
    first = open_tracker(uri, steps_per_decade=20)
    first.add(TrackedStage("k1", "pretrain", metrics))
    assert first.close("KILLED") == []
    metrics.write_text("")  # resumed from the checkpoint at step 500
    write_metrics(metrics, range(500))
    write_metrics(metrics, range(500, 1500), start=1000.0)
    for _ in range(2):
        tracker = open_tracker(uri, steps_per_decade=20)
        tracker.add(TrackedStage("k1", "pretrain", metrics))
        tracker.finish("k1", "FINISHED")
        assert tracker.close("FINISHED") == []
    [run] = runs(uri)
    shown = [step for step, _ in history(uri, run, "train/loss")]
    before = -1
    assert shown == [before := step for step in range(1500) if keeps("train.loss", step, before, 20)]
    assert len(shown) < 60
    assert history(uri, run, "validation/dft.energy_mae") == [(step, 2 / (step + 1)) for step in range(1500)]


def test_stopping_a_sweep_leaves_finished_stages_finished(open_tracker, uri, tmp_path):
    first = open_tracker(uri)
    first.add(TrackedStage("k1", "pretrain", tmp_path / "none.jsonl"))
    first.finish("k1", "FINISHED")
    first.close("FINISHED")
    second = open_tracker(uri)
    second.add(TrackedStage("k1", "pretrain", tmp_path / "none.jsonl"))
    second.close("KILLED")
    assert runs(uri)[0].info.status == "FINISHED"


def test_a_long_param_is_cut_with_a_warning(open_tracker, uri, tmp_path, caplog):
    tracker = open_tracker(uri)
    tracker.add(TrackedStage("k1", "pretrain", tmp_path / "none.jsonl", params={"formulae": "C" * 7000, "seed": 1}))
    tracker.finish("k1", "FINISHED")
    assert tracker.close("FINISHED") == []
    assert runs(uri)[0].data.params == {"formulae": "C" * 6000, "seed": "1"}
    assert "'formulae'" in caplog.text


def test_what_mlflow_refuses_is_given_up_and_told(open_tracker, uri, tmp_path):
    tracker = open_tracker(uri)
    tracker.add(TrackedStage("bad", "odd name", tmp_path / "none.jsonl", params={"not?allowed": 1}))
    tracker.add(TrackedStage("good", "pretrain", tmp_path / "none.jsonl"))
    tracker.finish("good", "FINISHED")
    wait_until(lambda: any(run.data.tags["mfsweep.stage_key"] == "good" for run in runs(uri)))
    tracker.finish("bad", "FINISHED")
    [lost] = tracker.close("FINISHED")
    assert "odd name" in lost
    assert {run.data.tags["mfsweep.stage_key"]: run.info.status for run in runs(uri)}["good"] == "FINISHED"


@pytest.mark.parametrize("code", ["INVALID_PARAMETER_VALUE", "INTERNAL_ERROR"])
def test_an_end_that_mlflow_does_not_take_is_told_once(open_tracker, uri, monkeypatch, caplog, code):
    def refuse(*_):
        error = RuntimeError("no end")
        error.error_code = code
        raise error

    tracker = open_tracker(uri)
    monkeypatch.setattr(SweepRuns, "end", refuse)
    assert tracker.close("FINISHED") == ["the sweep's run is not ended: RuntimeError: no end"]
    assert caplog.text == ""


def test_a_missing_artifact_does_not_keep_a_run_open(open_tracker, uri, tmp_path):
    tracker = open_tracker(uri)
    tracker.add(TrackedStage("k1", "pretrain", tmp_path / "none.jsonl"))
    tracker.finish("k1", "FINISHED", artifacts=[tmp_path / "record.json"])
    [lost] = tracker.close("FINISHED")
    assert "record.json" in lost
    assert runs(uri)[0].info.status == "FINISHED"


@pytest.mark.parametrize("scheme", ["http", "sqlite", "file"])
def test_a_server_that_cannot_be_used_is_an_error_at_once(open_tracker, scheme, tmp_path):
    uri = {
        "http": f"http://someone:secret@127.0.0.1:{free_port()}",
        "sqlite": f"sqlite:///{tmp_path}/missing/mlflow.db",
        "file": (tmp_path / "mlruns").as_uri(),
    }[scheme]
    start = time.monotonic()
    with pytest.raises(TrackingError, match="tracking") as caught:
        open_tracker(uri)
    assert time.monotonic() - start < 12
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_an_error_within_seconds(open_tracker):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes connections, says nothing
        start = time.monotonic()
        with pytest.raises(TrackingError):
            open_tracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 12


def test_a_deleted_experiment_says_how_to_bring_it_back(open_tracker, uri):
    open_tracker(uri).close("FINISHED")
    experiment = client(uri).get_experiment_by_name("spec")
    client(uri).delete_experiment(experiment.experiment_id)
    with pytest.raises(TrackingError, match=f"restore --experiment-id {experiment.experiment_id}"):
        open_tracker(uri)


@pytest.fixture(scope="module")
def shared_server(empty_database, tmp_path_factory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    shutil.copy(empty_database, server.folder / "mlflow.db")
    yield server
    server.kill()


@pytest.fixture
def server(shared_server) -> MlflowServer:
    """Give the server, running; the tests leave it as they like."""
    shared_server.start()
    return shared_server


@pytest.mark.server
def test_the_ui_serves_the_database_on_this_machine_only(server):
    assert "127.0.0.1" in ui_command(server.database)
    assert server.answers("/")


@pytest.mark.server
def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(open_tracker, server, tmp_path, caplog, capfd):
    metrics, late, record = tmp_path / "metrics.jsonl", tmp_path / "late.jsonl", tmp_path / "record.json"
    record.write_text("{}")
    tracker = open_tracker(server.address)
    tracker.add(TrackedStage("k1", "pretrain", metrics, params={"seed": 0}))
    write_metrics(metrics, range(3000))
    wait_until(lambda: runs(server.database) and runs(server.database)[0].data.metrics)
    server.kill()  # most likely in the middle of the 6,000 points

    write_metrics(metrics, range(3000, 3100))
    write_metrics(late, range(50))
    began = time.monotonic()
    tracker.add(TrackedStage("k2", "finetune", late))  # begins and ends while no one listens
    tracker.finish("k2", "FINISHED", {"pretrain.validation.dft.energy_mae": 1.5})
    tracker.finish("k1", "FINISHED", {"test.dft.energy_mae": 2.5}, [record])
    assert time.monotonic() - began < 0.1, "the caller never waits for the server"
    wait_until(lambda: "does not answer" in caplog.text)
    time.sleep(1)

    server.start()
    assert tracker.close("FINISHED") == []
    assert caplog.text.count("does not answer") == 1
    first, second = runs(server.database)
    sweep = runs(server.database, "sweep")[0]
    assert first.info.status == second.info.status == sweep.info.status == "FINISHED"
    assert history(server.database, first, "train/loss") == [(step, 1 / (step + 1)) for step in range(3100)]
    expected = [(step, 2 / (step + 1)) for step in range(3100)]
    assert history(server.database, first, "validation/dft.energy_mae") == expected
    assert history(server.database, second, "train/loss") == [(step, 1 / (step + 1)) for step in range(50)]
    assert second.data.metrics["pretrain/validation.dft.energy_mae"] == 1.5
    assert [path.read_text() for path in server.folder.rglob("record.json")] == ["{}"]
    assert capfd.readouterr().out == "", "what a command prints is the command's"


@pytest.mark.server
def test_a_server_that_becomes_slow_in_the_middle_holds_nobody_up_and_loses_nothing(open_tracker, server, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    with Gate(server) as gate:
        tracker = open_tracker(gate.address, "slow")
        tracker.add(TrackedStage("k1", "pretrain", metrics))
        write_metrics(metrics, range(100))
        wait_until(lambda: runs(server.database, experiment="slow"))
        gate.seconds = 0.4
        write_metrics(metrics, range(100, 200))
        began = time.monotonic()
        tracker.finish("k1", "FINISHED", {"test.dft.energy_mae": 2.5})
        assert time.monotonic() - began < 0.1, "the caller never waits for the server"
        assert tracker.close("FINISHED") == []
    (run,) = runs(server.database, experiment="slow")
    assert run.info.status == "FINISHED"
    assert history(server.database, run, "train/loss") == [(step, 1 / (step + 1)) for step in range(200)]


@pytest.mark.server
def test_a_server_that_asks_for_a_login_is_given_that_of_mlflows_variables(
    open_tracker, server, tmp_path, monkeypatch, caplog
):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(10))
    with Gate(server, login="me:secret") as gate:
        with pytest.raises(TrackingError):
            open_tracker(gate.address, "asked")
        assert gate.refused
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
        refused = gate.refused
        tracker = open_tracker(gate.address, "asked")
        tracker.add(TrackedStage("k1", "pretrain", metrics))
        tracker.finish("k1", "FINISHED", {"test.dft.energy_mae": 2.5})
        assert tracker.close("FINISHED") == []
        assert gate.refused == refused
    (run,) = runs(server.database, experiment="asked")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/dft.energy_mae"] == 2.5
    assert "secret" not in caplog.text


@pytest.mark.server
def test_the_next_sweep_writes_what_a_dead_server_missed(open_tracker, server, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_metrics(metrics, range(10))
    stage = TrackedStage("k1", "pretrain", metrics, params={"seed": 0})
    first = open_tracker(server.address, "next")
    first.add(stage)
    wait_until(lambda: runs(server.database, experiment="next"))
    wait_until(lambda: runs(server.database, experiment="next")[0].data.metrics)
    server.kill()
    write_metrics(metrics, range(10, 20))
    first.finish("k1", "FINISHED", {"test.dft.energy_mae": 2.5})
    [missing] = first.close("FINISHED", patience=0.5)
    assert "1 stages are not complete" in missing
    assert runs(server.database, experiment="next")[0].info.status == "RUNNING"

    second = open_tracker(server.database, "next")  # the same database, now without a server
    second.add(stage)
    second.finish("k1", "FINISHED", {"test.dft.energy_mae": 2.5})
    assert second.close("FINISHED") == []
    [run] = runs(server.database, experiment="next")
    assert run.info.status == "FINISHED"
    assert history(server.database, run, "train/loss") == [(step, 1 / (step + 1)) for step in range(20)]


def test_a_remote_server_shows_its_own_ui():
    with pytest.raises(TrackingError, match="open that address"):
        ui_command("http://tracking.example:5000")


def test_two_sweeps_of_a_spec_at_once_show_each_stage_in_one_run(open_tracker, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    open_tracker(uri).close("FINISHED")  # two that make the database itself at once are another matter
    trackers = [open_tracker(uri) for _ in range(2)]
    stages = [TrackedStage(f"key{number}", f"stage {number}", tmp_path / f"{number}.jsonl") for number in range(6)]
    for tracker in trackers:
        for stage in stages:
            tracker.add(stage)
            tracker.finish(stage.key, "FINISHED", {"validation.cc.energy_mae": 1.0})
    closing = [threading.Thread(target=tracker.close, args=("FINISHED",)) for tracker in trackers]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    found = runs(uri)
    assert sorted(run.data.tags["mfsweep.stage_key"] for run in found) == sorted(stage.key for stage in stages)
    assert len(runs(uri, kind="sweep")) == 1
    assert all(run.info.status == "FINISHED" for run in found)


@pytest.mark.server
def test_the_ui_shows_the_artifacts_of_a_store_wherever_it_lies(open_tracker, uri, tmp_path):
    (figure := tmp_path / "law.svg").write_text("<svg/>")
    assert open_tracker(uri).close("FINISHED", [figure]) == []
    (moved := tmp_path / "moved").mkdir()
    for name in ("mlflow.db", "artifacts"):
        (tmp_path / name).rename(moved / name)
    server = MlflowServer(moved)
    server.command = ui_command(server.database, server.port, artifacts=moved / "artifacts")
    try:
        server.start()
        (run,) = runs(server.database, "sweep")
        (found,) = client(server.address).list_artifacts(run.info.run_id)
        assert found.path == "law.svg"
        query = f"{server.address}/get-artifact?path=law.svg&run_uuid={run.info.run_id}"
        with urllib.request.urlopen(query, timeout=20) as answer:
            assert answer.read() == b"<svg/>"
    finally:
        server.kill()


@needs_chromium
@pytest.mark.slow
@pytest.mark.server
def test_the_link_opens_the_table_of_runs_with_its_filter_order_and_columns(open_tracker, server, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    tracker = open_tracker(server.address, "linked")
    errors = {40: 3.0, 80: 1.0, 150: 2.0}
    for size, error in errors.items():
        tracker.add(TrackedStage(f"s{size}", f"finetune {size}", tmp_path / f"{size}.jsonl", params={"n": size}))
        tracker.finish(f"s{size}", "FINISHED", {"test.cc.energy_mae": error})
    view = View('tags.mfsweep.kind = "stage"', ["n"], ["test/cc.energy_mae"])
    assert tracker.close("FINISHED", view=view) == []
    experiment, key = view_keys(server.database)["linked"]
    with chromium(tmp_path / "profile") as browser:
        look(browser, 1600)
        browser.get(link(server.address, experiment, key))
        text = WebDriverWait(browser, 60).until(
            lambda it: "3 matching runs" in (shown := it.find_element("css selector", "body").text) and shown
        )
        assert "Sort: test/cc.energy_mae" in text
        heads = [head.text for head in browser.find_elements("css selector", ".ag-header-cell") if head.text]
        assert {"Run Name", "Created", "Duration", "n", "test/cc.energy_mae"} <= set(heads)
        searched = browser.find_element("css selector", 'input[value*="mfsweep.kind"]')
        assert searched.get_attribute("value") == view.filter
        rows = [one.text for one in browser.find_elements("css selector", ".ag-center-cols-container .ag-row")]
        assert [str(size) in row for size, row in zip((80, 150, 40), rows, strict=True)] == [True] * 3
