"""A finished store with damage of every kind: what is damaged is named, and made again."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from rich.console import Console

from mfsweep.cli.planned import print_plan
from mfsweep.prepare import prepare
from mfsweep.sweep import running as command
from mfsweep.train import load_weights


def flip(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def mfsweep(called, tmp_path):
    """Give a function that runs a command on the store of this test."""
    return lambda *args: called(*args, "--store", tmp_path / "store")


@pytest.fixture
def sweep(without_ray, tmp_path):
    """Give a function that runs a spec as the command does; it returns the summary and what was printed."""

    def run(path):
        console = Console(record=True, width=300, file=io.StringIO())
        plan = prepare(path, tmp_path / "store", {"groups": 1})
        print_plan(console, plan)
        return command.run(plan, console, None), console.export_text()

    return run


def numbers(store):
    """Return the weights and the scores of all stages."""
    return {
        folder.key: (
            {name: value.tolist() for name, value in load_weights(folder.selected).state.items()},
            [json.loads(path.read_text())["metrics"] for path in sorted(folder.evaluations.glob("*.json"))],
        )
        for folder in store.stages()
    }


def test_a_damaged_store_is_named_and_made_again_with_equal_weights(sweep, write_spec, tmp_path, mfsweep):
    spec = write_spec(("[0, 20, 40]", "[20, 40]"))
    assert sweep(spec)[0].run == 6
    plan = prepare(spec, tmp_path / "store")
    store, folder = plan.store, plan.store.sweep("small")
    expected = numbers(store)
    stages = [store.stage(key) for key in plan.graph.nodes]
    # Two pre-trainings, each with two fine-tunings.
    first, second = (stage for stage in stages if stage.record().parent is None)
    children = {p.key: [s for s in stages if s.record().parent == p.key] for p in (first, second)}

    cut(children[first.key][0].record_path)
    (evaluation,) = children[first.key][1].evaluations.glob("*.json")
    evaluation.write_bytes(b"\xff\xfe")
    flip(second.selected)  # which is seen when a child reads it
    shutil.rmtree(children[second.key][0].path)
    for name in ("record.json", "evaluations", "checkpoints"):  # killed in the middle, with damage in its state
        place = children[second.key][1].path / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    children[second.key][1].checkpoints.mkdir()
    cut(shutil.copy(second.selected, children[second.key][1].checkpoints / "last.pt"))
    for path in store.edges.glob("*/pairs.npy"):
        flip(path)
    cut(store.digests)
    for name in ("cells.json", "claims.json", "figures.json"):
        cut(folder.path / name)

    for name in ("status", "fit", "report", "plan"):
        before = {path: path.read_bytes() for path in store.root.glob("stages/*/**/*.json")}
        code, out, err = mfsweep(name, spec)
        assert code == 0, err
        said = " ".join((out + err).split())
        for path in (children[first.key][0].record_path, evaluation):
            assert said.count(f"{path} is damaged (") == 1
        assert {path: path.read_bytes() for path in store.root.glob("stages/*/**/*.json")} == before
    summary, said = sweep(spec)
    assert said.count(f"{evaluation} is damaged (") == 1
    assert (summary.failed, summary.exit_code) == (2, 1)
    assert "Run it again to try the failed stages once more" in said
    failure = summary.failures[0].log.read_text()
    assert f"{second.selected} is damaged (sha256" in failure
    assert "`mfsweep run` of its spec trains the stage again" in failure

    summary, said = sweep(spec)
    assert (summary.run, summary.reused, summary.failed, summary.exit_code) == (3, 3, 0, 0)
    assert "is damaged" not in said
    assert prepare(spec, store.root).done == plan.graph.nodes.keys()
    assert numbers(store) == expected
    assert len(folder.cells()) == 4
    aside = {path.name for path in store.root.rglob("*.damaged-1")}
    assert {
        "record.json.damaged-1",
        f"{evaluation.name}.damaged-1",
        "selected.pt.damaged-1",
        "last.pt.damaged-1",
    } <= aside
    assert [name for name in aside if "-v2.damaged-1" in name]
