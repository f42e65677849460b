"""mlflow.db from the records alone is the mlflow.db that the runs themselves have made."""

from __future__ import annotations

import json

import pytest
from finished import finish
from mlflow import MlflowClient

from mfsweep.files import write_text
from mfsweep.prepare import prepare
from mfsweep.run.databases import MlflowTables, whole
from mfsweep.run.mirror import Mirror
from mfsweep.run.rebuild import rebuild, unmirrored
from mfsweep.run.store_tracking import open_tracker


@pytest.fixture
def mirrored(write_spec, store):
    """Give a function that finishes a spec in the store and mirrors it, as its run would."""

    def run(*changes):
        plan = prepare(write_spec(*changes), store.root)
        finish(plan)
        folder = store.sweep(plan.name)
        write_text(folder.spec, plan.spec.document.text)
        folder.write_cells(plan.cells())
        tracker = open_tracker(store, plan.name, pytest.fail, sweep=plan.name, steps_per_decade=100)
        mirror = Mirror(tracker, plan.graph, store)
        for key in plan.graph.nodes:
            mirror.begin(key)
            mirror.end(key, failed=False)
        assert tracker.close("FINISHED", [folder.spec]) == []
        return plan

    return run


def shown(store, name):
    """Return all that MLflow holds of a sweep, but for ids and times."""
    client = MlflowClient(store.tracking_uri)
    found = {}
    for run in client.search_runs([client.get_experiment_by_name(name).experiment_id]):
        curves = {
            metric: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
            for metric in run.data.metrics
        }
        tags = {tag: value for tag, value in run.data.tags.items() if tag != "mlflow.parentRunId"}
        files = sorted(path.name for path in (store.artifacts / run.info.run_id / "artifacts").glob("*"))
        found[tags.get("mfsweep.stage_key", "sweep")] = (
            run.info.run_name,
            run.info.status,
            run.data.params,
            tags,
            curves,
            files,
        )
    return found


def lose(store):
    store.tracking_database.rename(store.root / "lost.db")


def test_every_sweep_of_a_lost_file_is_mirrored_as_it_was(mirrored, store):
    small, other = mirrored(), mirrored(("name: small", "name: other"), ("[0, 20, 40]", "[0, 30]"))
    before = {name: shown(store, name) for name in (small.name, other.name)}
    lose(store)
    said = []
    rebuild(store, said.append)
    assert {name: shown(store, name) for name in before} == before
    assert said == [f"{name}: {len(before[name]) - 1} trained stages in MLflow" for name in ("other", "small")]
    rebuild(store, said.append)
    assert {name: shown(store, name) for name in before} == before, "a second time changes nothing"


def test_only_what_the_file_lacks_is_found_missing(mirrored, store, write_spec):
    mirrored()
    mirrored(("name: small", "name: other"))
    elsewhere = ("resources:", "tracking: {uri: 'http://127.0.0.1:9'}\nresources:")
    plan = prepare(write_spec(("name: small", "name: elsewhere"), elsewhere), store.root)
    write_text(store.sweep("elsewhere").spec, plan.spec.document.text)
    store.sweep("elsewhere").write_cells(plan.cells())
    assert unmirrored(store) == []
    lose(store)
    with whole(store.tracking_database, MlflowTables()):
        assert unmirrored(store) == ["other", "small"]
    rebuild(store, str, ["other"])
    assert unmirrored(store) == ["small"]


def test_what_cannot_be_read_costs_itself_and_what_starts_from_it(mirrored, store):
    plan = mirrored()
    before = shown(store, plan.name)
    lost = next(node for node in plan.graph.nodes.values() if node.name == "pretrain")
    write_text(store.stage(lost.key).training, "{")
    (store.sweeps / "broken").mkdir()
    write_text(store.sweeps / "broken" / "cells.json", "[")
    lose(store)
    said = []
    rebuild(store, said.append)
    left = {lost.key, *plan.graph.descendants([lost.key]), "sweep"}
    after = shown(store, plan.name)
    assert after.keys() == before.keys() - left | {"sweep"}
    assert all(after[key] == before[key] for key in before.keys() - left)
    assert "broken is left out" in said[0]


def test_cells_of_before_they_knew_their_axes_show_what_their_stages_have_in_common(mirrored, store):
    plan = mirrored()
    before = shown(store, plan.name)
    path = store.sweep(plan.name).path / "cells.json"
    cells = [{name: value for name, value in cell.items() if name != "axes"} for cell in json.loads(path.read_text())]
    write_text(path, json.dumps(cells))
    lose(store)
    rebuild(store, str)
    after = shown(store, plan.name)
    assert after.keys() == before.keys()
    for key, (_, status, params, tags, curves, files) in before.items():
        _, *found = after[key]
        assert (found[0], found[3], found[4]) == (status, curves, files)
        assert params.items() <= found[1].items(), (
            "an axis that does not matter to a stage of one cell may be there too"
        )
        assert tags.items() - {("mlflow.runName", tags["mlflow.runName"])} <= found[2].items()
