"""What is damaged in a store is made again by whoever performs its stage, to the same numbers."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from mfsweep.data import edge_files
from mfsweep.data.view import _views
from mfsweep.errors import MfsweepError, StoreError
from mfsweep.files import sha256
from mfsweep.prepare import prepare
from mfsweep.run.labelling.model import find
from mfsweep.run.perform import perform
from mfsweep.run.sweep import _job
from mfsweep.store import StoreFolder
from mfsweep.train import World, load_weights

SMALL = (("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]"))
"""One pre-training, one fine-tuning from it, and its evaluation."""


def run(plan) -> list[str]:
    """Perform what a plan lacks, parents first, each in a process that has read nothing yet; return the errors."""
    errors, failed = [], set()
    for key, node in plan.graph.nodes.items():
        if plan.is_done(key) or node.parent in failed:
            continue
        _views.cache_clear()
        edge_files._digest.cache_clear()
        try:
            assert perform(_job(plan, node), World.alone(), lambda _: True)
        except MfsweepError as error:
            errors.append(str(error))
            failed.add(key)
    return errors


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    store = StoreFolder(tmp_path_factory.mktemp("finished") / "store")
    store.prepare()
    return store


@pytest.fixture
def sweep(finished, write_spec, tmp_path):
    """Give a function that plans the small spec on a copy of a finished store, and the folders of its two stages."""
    spec = write_spec(*SMALL)
    if not finished.keys():
        assert run(prepare(spec, finished.root)) == []
    shutil.copytree(finished.root, tmp_path / "store")

    def plan():
        return prepare(spec, tmp_path / "store")

    parent, child = (plan().store.stage(key) for key in plan().graph.nodes)
    return plan, parent, child


def content(folder):
    """Return the numbers of a stage: weights, and predictions."""
    weights = {path.name: load_weights(path).state for path in folder.checkpoints.glob("selected.pt")}
    predictions = {path.name: dict(np.load(path)) for path in folder.evaluations.glob("*.npz")}
    return weights, predictions


def require_equal(folder, expected) -> None:
    weights, predictions = content(folder)
    for found, theirs in ((weights, expected[0]), (predictions, expected[1])):
        assert found.keys() == theirs.keys()
        for name, arrays in found.items():
            assert all(np.array_equal(array, theirs[name][key]) for key, array in arrays.items())


def flipped(path) -> None:
    """Change one bit: of a checkpoint's largest tensor, or in the middle of another file."""
    raw = bytearray(path.read_bytes())
    place = len(raw) // 2
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
            place = raw.index(archive.read(largest)) + largest.file_size // 2
    raw[place] ^= 1
    path.write_bytes(raw)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path) -> None:
    path.write_bytes(b"\xff\xfe no UTF-8")


DAMAGE = [flipped, cut, foreign]
NAMES = [damage.__name__ for damage in DAMAGE]


@pytest.mark.parametrize("damage", [cut, foreign])
def test_a_damaged_record_is_made_again(sweep, damage):
    plan, parent, child = sweep
    expected = content(child)
    damage(child.record_path)
    raw = child.record_path.read_bytes()
    (said,) = plan().damage()
    assert said.startswith(f"{child.record_path} is damaged (")
    assert said.endswith("`mfsweep run` sets it aside and makes it again")
    assert plan().done == {parent.key}
    assert run(plan()) == []
    assert plan().done == {parent.key, child.key}
    assert plan().damage() == []
    require_equal(child, expected)
    assert child.record_path.with_name("record.json.damaged-1").read_bytes() == raw
    assert f"{child.record_path} is damaged (" in child.log.read_text()


@pytest.mark.parametrize("damage", [cut, foreign])
def test_a_damaged_evaluation_is_made_again_and_nothing_is_trained(sweep, damage):
    plan, parent, child = sweep
    expected, trained = content(child), child.record_path.stat().st_mtime_ns
    (path,) = child.evaluations.glob("*.json")
    damage(path)
    assert plan().done == {parent.key}
    assert run(plan()) == []
    assert plan().done == {parent.key, child.key}
    assert child.record_path.stat().st_mtime_ns == trained
    require_equal(child, expected)


@pytest.mark.parametrize(
    ("damage", "recorded"), [*((damage, True) for damage in DAMAGE), (flipped, False)], ids=[*NAMES, "no digest"]
)
def test_damaged_weights_are_never_trained_from(sweep, damage, recorded):
    """Where the plan does not see it, the child does; the next run trains the parent again, and the child too."""
    plan, parent, child = sweep
    expected = content(parent), content(child)
    if not recorded:
        record = json.loads(parent.record_path.read_text())
        for best in (record["selected"], *record["heads"].values()):
            assert best.pop("sha256") == sha256(parent.selected)
        parent.record_path.write_text(json.dumps(record))
    shutil.rmtree(child.path)
    damage(parent.selected)
    raw = parent.selected.read_bytes()
    if damage is flipped:
        assert plan().done == {parent.key}
        (said,) = run(plan())
        assert f"the weights of stage {parent.key} cannot be used: {parent.selected} is damaged (" in said
        assert "`mfsweep run` of its spec trains the stage again" in said
    assert plan().done == set()
    assert run(plan()) == []
    assert plan().done == {parent.key, child.key}
    require_equal(parent, expected[0])
    require_equal(child, expected[1])
    assert parent.selected.with_name("selected.pt.damaged-1").read_bytes() == raw
    assert parent.record_path.with_name("record.json.damaged-1").exists()


def test_weights_that_nobody_needs_may_be_removed(sweep):
    plan, parent, child = sweep
    shutil.rmtree(parent.checkpoints)
    assert plan().done == {parent.key, child.key}
    assert plan().damage() == []


def test_weights_that_a_child_needs_are_made_again_when_they_are_gone(sweep):
    plan, parent, child = sweep
    expected = content(child)
    shutil.rmtree(parent.checkpoints)
    shutil.rmtree(child.path)
    assert plan().done == set()
    assert plan().damage()[0].startswith(f"{parent.selected} is missing")
    assert run(plan()) == []
    require_equal(child, expected)


def test_weights_are_not_evaluated_when_they_are_damaged(sweep):
    plan, _, child = sweep
    expected = content(child)
    shutil.rmtree(child.evaluations)
    flipped(child.selected)
    assert run(plan()) == []
    require_equal(child, expected)
    assert "selected.pt is damaged (sha256" in child.log.read_text()


def test_weights_do_not_label_when_they_are_damaged(sweep):
    plan, parent, child = sweep
    expected = content(parent)
    flipped(parent.selected)
    with pytest.raises(StoreError, match=rf"weights of stage {parent.key} cannot be used: .*selected\.pt is damaged"):
        find(f"model:{parent.key}", None, plan().store)
    assert plan().done == {child.key}
    assert run(plan()) == []
    require_equal(parent, expected)
    assert find(f"model:{parent.key}", None, plan().store).file == parent.selected


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_neighbours_and_digests_change_nothing(sweep, damage):
    plan, parent, child = sweep
    expected = content(parent), content(child)
    store = plan().store
    for path in (*store.edges.glob("*/*"), store.digests):
        damage(path)
    for folder in (parent, child):
        shutil.rmtree(folder.path)
    assert plan().graph.nodes.keys() == {parent.key, child.key}
    assert run(plan()) == []
    require_equal(parent, expected[0])
    require_equal(child, expected[1])
    assert list(store.edges.glob("*.damaged-1"))
    assert "the neighbours in" in parent.log.read_text()


def test_a_record_of_a_later_version_is_left_alone(sweep):
    plan, parent, child = sweep
    newer = json.loads(parent.record_path.read_text()) | {"schema_number": 2}
    parent.record_path.write_text(json.dumps(newer))
    assert plan().done == {child.key}
    (said,) = plan().damage()
    assert (
        said == f"{parent.record_path} is of a later version of mfsweep (schema 2, this one knows 1): install that one"
    )
    (error,) = run(plan())
    assert said in error
    assert json.loads(parent.record_path.read_text()) == newer
    assert not list(parent.path.glob("*.damaged-*"))
