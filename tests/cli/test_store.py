"""A store with anything in place of its files: the commands that read go on, and say what is damaged."""

from __future__ import annotations

import copy
import gzip
import io
import json
import sqlite3
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from mfsweep.cli.main import main
from mfsweep.cli.status import status_table
from mfsweep.files import sha256
from mfsweep.prepare import prepare
from mfsweep.prepare.inventory import take
from mfsweep.records import BestCheckpoint, EvaluationRecord, Record, Share
from mfsweep.store import StoreFolder
from mfsweep.store.verify import mend, verify
from mfsweep.sweep import results
from mfsweep.sweep.status import status

SMALL = ("[0, 20, 40]", "[20, 40]")


def finished(spec, store):
    """Plan a spec on a store in which each of its stages has a record, an evaluation and weights."""
    store.prepare()
    for number, (key, node) in enumerate(prepare(spec, store.root).graph.nodes.items(), 1):
        folder = store.stage(key)
        (method,) = node.training.methods
        folder.checkpoints.mkdir(parents=True)
        with zipfile.ZipFile(folder.selected, "w") as archive:
            archive.writestr("archive/data.pkl", f"values {number}")
        best = {"file": "checkpoints/selected.pt", "sha256": sha256(folder.selected)}
        kept = BestCheckpoint(metric="validation.loss", step=4, value=0.5, **best)
        own = {f"validation.{method}.energy_mae": 10.0 + number}
        folder.write_record(
            Record(
                key=key, training=node.training.identity(), parent=node.parent, started=1.7e9, seconds=1, steps=4,
                stop_reason="converged", selected=kept, heads={method: kept}, head_reasons={method: "improving"},
                metrics=own | {"validation.loss": 1.0}, best_metrics=own, offsets={method: {"H": -13.0}},
                shares=[Share(labels=method, subset="a", size=4, requested=1.0, batches=2, structures=8, atoms=20,
                              passes=2.0, head=method)],
                parameters=9, workers=1, host="here", versions={"torch": "2"},
            )
        )  # fmt: skip
        for evaluation in node.evaluations:
            path, arrays = folder.evaluation_paths(evaluation.identity())
            path.parent.mkdir(exist_ok=True)
            np.savez(arrays, energy_predicted=np.arange(40.0))
            folder.write_evaluation(
                EvaluationRecord(
                    name=evaluation.name, evaluation=evaluation.identity(), metrics={"energy_mae": 20.0 + number},
                    offsets_only={"energy_mae": 200.0}, structures=40, step=4, predictions=arrays.name,
                )
            )  # fmt: skip
    return prepare(spec, store.root)


@pytest.fixture
def plan(write_spec, tmp_path):
    """Return the plan of a finished sweep."""
    return finished(write_spec(SMALL), StoreFolder(tmp_path / "store"))


def read_all(plan):
    """Show all that the reading commands show, with what the store has now; return the damage that is said."""
    now = replace(plan, inventory=take(plan.store, plan.graph))
    rows = status(now)
    json.dumps([row.as_json() for row in rows]).encode()
    console = Console(file=io.StringIO(), width=200)
    console.print(status_table(rows))
    shown = results.analyse(now)
    json.dumps(shown.rows()).encode()
    shown.print(console)
    return now.damage()


def places(value: Any, at: tuple[str | int, ...] = ()):
    """Yield every place in plain data."""
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


OTHERS = [None, 3, -1.5, 10**400, "x", [], {}, True, [1], {"a": 1}, "../../elsewhere", "\ud800", "validation.cc"]


def mutated(value: Any, at: tuple[str | int, ...], other: Any) -> Any:
    """Return plain data with another value at a place; without the place where `other` is the ellipsis."""
    if not at:
        return {} if other is ... else other
    found = copy.deepcopy(value)
    around = found
    for step in at[:-1]:
        around = around[step]
    if other is ...:
        del around[at[-1]]
    else:
        around[at[-1]] = other
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_record_however_odd_keeps_the_store_from_being_read(plan, data):
    paths = sorted(plan.store.root.glob("stages/*/record.json")) + sorted(
        plan.store.root.glob("stages/*/evaluations/*.json")
    )
    path = data.draw(st.sampled_from(paths))
    whole = path.read_text()
    content = json.loads(whole)
    at = data.draw(st.sampled_from(list(places(content))))
    path.write_text(json.dumps(mutated(content, at, data.draw(st.sampled_from([..., *OTHERS])))))
    try:
        said = read_all(plan)
        assert all(one.startswith(f"{path} ") and "\n" not in one for one in said)
    finally:
        path.write_text(whole)


def test_a_record_of_another_stage_is_no_record_of_this_one(plan):
    first, second, *_ = (plan.store.stage(key) for key in plan.graph.nodes)
    first.record_path.write_bytes(second.record_path.read_bytes())
    (said,) = read_all(plan)
    assert f"{first.record_path} is damaged (it is the record of the stage {second.key})" in said
    assert first.record() is None


def test_an_evaluation_of_another_name_is_no_score_of_this_one(plan):
    (folder, evaluation), *_ = (
        (plan.store.stage(key), node.evaluations[0]) for key, node in plan.graph.nodes.items() if node.evaluations
    )
    path, _ = folder.evaluation_paths(evaluation.identity())
    other = evaluation.but(subset="b")
    path.write_text(
        folder.evaluation(evaluation.identity()).model_copy(update={"evaluation": other.identity()}).model_dump_json()
    )
    (said,) = read_all(plan)
    assert f"{path} is damaged (it is the record of another evaluation)" in said
    assert folder.evaluation(evaluation.identity()) is None


@pytest.mark.parametrize("name", ["", "evaluations", "checkpoints"])
def test_a_file_in_place_of_a_folder_of_a_stage_is_damage_that_is_mended(plan, name):
    key = next(key for key, node in plan.graph.nodes.items() if node.evaluations)
    folder = plan.store.stage(key)
    place = folder.path / name if name else folder.path
    place.rename(plan.store.root / "kept")
    place.write_text("no folder")
    said = read_all(plan)
    assert bool(said) == (name != "checkpoints")  # a finished store needs no weights
    assert mend(plan.store, verify(plan.store).findings) == []
    assert verify(plan.store).findings == []
    assert not place.exists()
    assert place.with_name(f"{place.name}.damaged-1").read_text() == "no folder"
    assert (folder.record() is None) == (name != "evaluations")
    with folder.claim() as mine:
        assert mine


def flipped(path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path) -> None:
    path.write_bytes(b"\xff\xfe nothing of ours" * 9)


@pytest.fixture
def whole(plan):
    """Return a finished store with everything that a store can have, and the names of its files by kind."""
    store = plan.store
    key = next(key for key, node in plan.graph.nodes.items() if node.evaluations)
    folder = store.stage(key)
    folder.training.write_text("{}")
    with gzip.open(f"{folder.metrics}.gz", "wb") as file:
        file.write(b'{"t": 1.0, "step": 1, "metrics": {"train.loss": 0.5}}\n' * 500)
    sweep = store.sweep("small")
    sweep.write_cells(plan.cells())
    sweep.write_asked([{"alpha": 0.5}])
    sweep.write_outcome([], [])
    store.costs.write_text("[]")
    plan.view(plan.graph.nodes[key])
    for name in ("mlflow.db", "optuna.db"):
        with sqlite3.connect(store.root / name) as database:
            database.execute("create table t (x text)")
            database.executemany("insert into t values (?)", [("x" * 500,)] * 200)
        database.close()
    (edges := store.edges / "g-3.0-v2").mkdir(parents=True)
    np.save(edges / "pairs.npy", np.arange(99))
    (edges / "sha256.json").write_text(json.dumps({"pairs": sha256(edges / "pairs.npy")}))
    (evaluation,) = folder.evaluations.glob("*.json")
    return store, {
        "record": folder.record_path, "training": folder.training, "evaluation": evaluation,
        "predictions": evaluation.with_suffix(".npz"), "weights": folder.selected,
        "metrics": folder.metrics.with_name("metrics.jsonl.gz"), "cells": sweep.path / "cells.json",
        "asked": sweep.path / "asked.json", "claims": sweep.path / "claims.json", "digests": store.digests,
        "costs": store.costs, "neighbours": edges / "pairs.npy", "mlflow": store.root / "mlflow.db",
        "optuna": store.root / "optuna.db",
    }  # fmt: skip


KINDS = [
    "record", "training", "evaluation", "predictions", "weights", "metrics", "cells", "asked", "claims", "digests", "costs",
    "neighbours", "mlflow", "optuna",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [cut, garbage])
def test_verify_finds_damage_in_every_file_and_mend_sets_it_aside(whole, kind, damage):
    store, files = whole
    assert verify(store).findings == []
    damage(files[kind])
    (found,) = verify(store).findings
    named = {"predictions": files["evaluation"], "neighbours": files["neighbours"].parent}.get(kind, files[kind])
    assert found.damage.path == named
    assert "\n" not in str(found)
    trained = {"record", "weights"}  # and all that rests on them
    left = mend(store, [found])
    assert all(
        (folder.record() is None) == (kind in trained and folder.path == files["record"].parent)
        for folder in store.stages()
    )
    assert bool(left) == (kind == "metrics")  # of which there is no second source
    assert len(verify(store).findings) == len(left)


@pytest.mark.parametrize("kind", ["weights", "predictions", "neighbours"])
def test_verify_finds_one_changed_bit_where_there_are_checksums(whole, kind):
    store, files = whole
    flipped(files[kind])
    assert len(verify(store).findings) == 1


def test_verify_leaves_what_a_later_version_wrote(whole):
    store, files = whole
    files["record"].write_text(files["record"].read_text().replace('"schema_number": 1', '"schema_number": 2'))
    findings = verify(store).findings
    assert [found.damage.whole for found in findings] == [True]
    assert mend(store, findings) == findings
    assert files["record"].exists()


def test_verify_leaves_what_a_run_holds(whole):
    store, files = whole
    garbage(files["record"])
    folder = store.stage(files["record"].parent.name)
    with folder.claim():
        (left,) = mend(store, verify(store).findings)
    assert str(left).endswith("a run holds its stage at this moment")


def test_the_command_verifies_and_mends(whole, capsys):
    store, files = whole

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["store", "verify", "--store", str(store.root), *args])
        return ended.value.code, capsys.readouterr().out

    assert run() == (0, f"{len(store.keys())} stages, 4 evaluations: all whole.\n")
    garbage(files["record"])
    code, out = run()
    assert code == 1
    assert f"{files['record']} is damaged (" in out
    assert "`mfsweep run` of its spec makes it again" in out
    code, out = run("--mend", "--json")
    assert (code, json.loads(out)["set_aside"], json.loads(out)["damaged"]) == (0, 1, [])
    assert run()[0] == 0


@pytest.mark.parametrize("command", ["status", "fit", "report"])
def test_a_mistyped_store_is_said_before_anything_is_written(plan, write_spec, tmp_path, capsys, command):
    before = sorted(tmp_path.rglob("*"))
    for name, said in (
        ("stroe", f"mfsweep: --store {tmp_path / 'stroe'}: no such folder. Did you mean 'store'?"),
        ("elsewhere", f"mfsweep: --store {tmp_path / 'elsewhere'}: no such folder. There is {tmp_path / 'store'}."),
        ("store/sweeps", "no store (expected the folder stages/ in it)"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path / "small.yaml"), "--store", str(tmp_path / name)])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
