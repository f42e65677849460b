"""What nobody needs of a store goes, and nothing else; whatever its stages are, and whoever is at them."""

from __future__ import annotations

import fcntl
import json
import os
import time
import zipfile

import pytest
from finished import finish
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.cli.main import main
from mfsweep.errors import StoreError
from mfsweep.files import CLAIM, write_text
from mfsweep.prepare import prepare
from mfsweep.store import removal
from mfsweep.store.contents import STATES, Contents, StoredStage, StoredSweep
from mfsweep.store.lease import DEAD_SECONDS, Observer
from mfsweep.sweep.store import Store
from mfsweep.sweep.unneeded import unneeded, without_what_is_in_use

KEYS = "abcdefgh"


@st.composite
def holdings(draw):
    """Draw a store whose stages start from earlier ones, some of which are not there."""
    stages = {}
    for number, key in enumerate(KEYS[: draw(st.integers(0, len(KEYS)))]):
        parent = draw(st.sampled_from([None, *KEYS[:number]]))
        state = draw(st.sampled_from(STATES))
        if draw(st.booleans()):
            stages[key] = StoredStage(key, (), state, float(draw(st.integers(0, 3))), 10, "mace", "cc 40", parent)
    keys = st.frozensets(st.sampled_from(KEYS))
    sweeps = [StoredSweep(name, 1, draw(keys), 0, 0.0, 0) for name in ("first", "second")]
    return Contents(tuple(sweeps), stages)


SOME = st.frozensets(st.sampled_from(KEYS))


@given(holdings(), st.none() | SOME, st.booleans(), st.sampled_from([1.0, 9.0]), SOME, st.sets(st.just("first")))
def test_what_goes_is_asked_for_and_nothing_that_stays_starts_from_it(found, kept, unfinished, before, held, run):
    wanted = unneeded(found, kept, unfinished=unfinished, before=before)
    going = without_what_is_in_use(found, wanted, set(held), run)
    assert going <= wanted <= found.stages.keys()
    for key in wanted:
        one = found.stages[key]
        assert one.written < before
        assert (kept is not None and key not in kept) or (unfinished and one.state != "trained")
    for stays in (found.stages.keys() - wanted, found.stages.keys() - going):
        assert all(found.stages[key].parent not in found.stages.keys() - stays for key in stays)
    in_use = held.union(*(one.keys for one in found.sweeps if one.name in run or one.keys & held))
    assert not found.above(in_use) & going
    # Nothing is spared without a reason.
    if kept == frozenset() and before > 3 and not held and not run:
        assert going == found.stages.keys()


@pytest.fixture
def kept(write_spec, tmp_path):
    """Return a store with the finished sweeps of two specs that share stages: the small one, and one without size 40."""
    plans = [
        prepare(write_spec(), tmp_path / "store"),
        prepare(
            write_spec(("[0, 20, 40]", "[0, 20]"), ("name: small", "name: less"), name="less.yaml"), tmp_path / "store"
        ),
    ]
    for plan in plans:
        plan.store.prepare()
        plan.store.sweep(plan.name).write_cells(plan.cells())
    finish(plans[0])
    return plans


def run(capsys, *words):
    """Return the exit code of a command, and what it prints as JSON."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    return ended.value.code or 0, json.loads(capsys.readouterr().out)


def test_what_a_kept_spec_needs_stays_and_the_rest_goes_children_first(kept, tmp_path, capsys):
    small, less = kept
    others = small.graph.nodes.keys() - less.graph.nodes.keys()
    assert 0 < len(others) < len(small.graph.nodes)
    before = sorted((small.store.root / "stages").rglob("*"))
    words = ["store", "prune", "--store", str(small.store.root), "--keep", str(tmp_path / "less.yaml")]
    code, said = run(capsys, *words)
    assert (code, said["removed"], {one["name"] for one in said["stages"]}) == (0, False, others)
    assert sorted((small.store.root / "stages").rglob("*")) == before, "it only says so"
    order = [one["name"] for one in said["stages"]]
    assert all(
        order.index(key) < order.index(node.parent)
        for key, node in small.graph.nodes.items()
        if key in others and node.parent in others
    )
    taken = Store(small.store.root).usage().total.bytes
    code, said = run(capsys, *words, "--yes")
    assert (code, said["removed"], {one["name"] for one in said["stages"]}) == (0, True, others)
    assert small.store.keys() == less.graph.nodes.keys()
    assert Store(small.store.root).usage().total.bytes == taken - said["bytes"]
    assert less.again().done == less.graph.nodes.keys()
    assert run(capsys, *words)[1]["stages"] == []


def test_without_a_spec_that_stays_no_trained_stage_goes(kept):
    store = Store(kept[0].store.root)
    assert store.prune().stages == []
    assert store.prune(unfinished=True).stages == []
    folder = kept[0].store.stage("0begun")
    write_text(folder.last, "state")
    assert store.prune().stages == []
    (found,) = store.prune(unfinished=True, remove=True).stages
    assert (found.name, found.why) == ("0begun", "begun, not trained")
    assert not folder.path.exists()


def test_a_stage_of_a_later_version_counts_as_trained(kept):
    store = kept[0].store
    path = store.stage(next(iter(kept[0].graph.nodes))).record_path
    write_text(path, path.read_text().replace('"schema_number": 1', '"schema_number": 2'))
    assert Store(store.root).prune(unfinished=True).stages == []
    assert {one.state for one in Store(store.root).contents().stages.values()} == {"trained"}


def test_what_was_written_since_stays(kept):
    small, less = kept
    store = Store(small.store.root)
    assert store.prune(less.name, older_than=3600).stages == []
    record = small.store.stage(max(small.graph.nodes.keys() - less.graph.nodes.keys())).record_path
    long_ago = time.time() - 7200
    os.utime(record, (long_ago, long_ago))
    children = [key for key, node in small.graph.nodes.items() if node.parent == record.parent.name]
    assert [one.name for one in store.prune(less.name, older_than=3600).stages] == (
        [] if children else [record.parent.name]
    )


@pytest.mark.parametrize("how", ["a stage is held", "a run of the spec goes on"])
def test_what_a_run_is_at_and_all_that_its_spec_needs_stays(kept, how):
    small, less = kept
    store = Store(small.store.root)
    key = max(small.graph.nodes.keys() - less.graph.nodes.keys())
    sweep = small.store.sweep(small.name)
    assert len(store.prune(less.name).stages) > 1
    with small.store.stage(key).claim() if how == "a stage is held" else sweep.run():
        pruned = store.prune(less.name, remove=True)
        assert pruned.stages == []
        assert len(pruned.left) == 1
    assert small.store.keys() == set(small.graph.nodes)
    assert not sweep.is_run()


class Watching:
    """Lets what is watched for long be watched in no time."""

    def __init__(self, patch):
        self.now, self.meanwhile = 0.0, lambda: None
        patch.setattr(removal, "Observer", lambda: Observer(lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds):
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def watching(monkeypatch):
    return Watching(monkeypatch)


def leave(folder, seconds):
    """Write what a run on another host has left of a stage, heard of last so long ago."""
    write_text(folder.last, "state")
    path = folder.path / ".lease-000004"
    path.write_text(json.dumps({"host": "node7", "process": 12, "boot": "other", "beats": 3, "free": False}))
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_what_a_host_that_died_was_at_is_watched_and_goes(kept, watching, capsys):
    folder = kept[0].store.stage("0begun")
    leave(folder, 7200)
    before = sorted(folder.path.iterdir())
    words = ["store", "prune", "--store", str(kept[0].store.root), "--unfinished"]
    with pytest.raises(SystemExit):
        main(words)
    said = capsys.readouterr()
    assert "0begun: begun, not trained" in said.out
    assert "1 stage of which nothing was heard for long: watched for 90 s" in said.err
    assert watching.now >= DEAD_SECONDS
    assert sorted(folder.path.iterdir()) == before, "it only says so"
    code, said = run(capsys, *words, "--yes")
    assert (code, [(one["name"], one["why"]) for one in said["stages"]]) == (0, [("0begun", "begun, not trained")])
    assert not folder.path.exists()


def test_a_run_on_another_host_that_lives_keeps_its_stage_whatever_its_clock_shows(kept, watching):
    store, folder = Store(kept[0].store.root), kept[0].store.stage("0begun")
    path = leave(folder, 60)
    assert store.prune(unfinished=True, remove=True).stages == []
    assert watching.now == 0, "it was heard of"
    path = leave(folder, 7200)
    beat = json.dumps({"host": "node7", "boot": "other", "beats": 4, "free": False})
    watching.meanwhile = lambda: path.write_text(beat)
    assert store.prune(unfinished=True, remove=True).stages == []
    assert folder.last.exists()
    watching.meanwhile = lambda: pytest.fail("it is here")
    with folder.path.joinpath(CLAIM).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leave(folder, 7200)
        assert store.prune(unfinished=True, remove=True).stages == [], "it was stopped, and lives"


def test_what_nothing_reads_any_more_goes(kept):
    store, key = kept[0].store, next(iter(kept[0].graph.nodes))
    folder = store.stage(key)
    gone = [
        folder.last, folder.before, folder.record_path.with_name("record.json.damaged-1"),
        folder.checkpoints / "best.cc.pt.damaged-2", store.root / "mlflow.db.damaged-1",
        store.root / "stages" / "x.damaged-1" / "record.json", folder.checkpoints / ".last.0a1b2c3d.pt",
        store.sweep("small").path / "asked.json.damaged-1",
    ]  # fmt: skip
    stays = [
        folder.final, store.stage("begun").checkpoints / ".last.0a1b2c3e.pt", store.stage("begun").last,
        store.stage("begun").record_path.with_name("metrics.jsonl"), store.root / ".mlflow.db.lock",
    ]  # fmt: skip
    selected = folder.path / folder.record().selected.file
    for path in (*gone, *stays):
        write_text(path, "x" * 5000)
    with zipfile.ZipFile(selected, "w") as weights:
        weights.writestr("data", b"0")
    long_ago = time.time() - 2 * 86400
    os.utime(gone[6], (long_ago, long_ago))
    found = Store(store.root).prune()
    assert sum(one.bytes for one in found.leftovers) >= len(gone) * 5000
    assert all(path.exists() for path in gone)
    with folder.claim():
        left = Store(store.root).prune(remove=True).left
    assert len(left) == 5, "those in the stage that is held"
    assert folder.last.exists()
    assert Store(store.root).prune(remove=True).left == []
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in (*stays, selected))
    assert Store(store.root).prune() == Store(store.root).prune(remove=True)._replace(removed=False)


def test_a_state_that_makes_damaged_weights_again_stays(kept):
    store = kept[0].store
    folder = store.stage(next(iter(kept[0].graph.nodes)))
    write_text(folder.last, "state")
    assert folder.damaged_weights(folder.record().selected)
    pruned = Store(store.root).prune(remove=True)
    assert pruned.leftovers == []
    assert folder.last.exists()


def test_of_a_link_in_the_place_of_a_stage_the_link_goes(kept, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write_text(elsewhere / "checkpoints" / "last.pt", "of somebody else")
    (kept[0].store.root / "stages" / "link").symlink_to(elsewhere)
    (found,) = Store(kept[0].store.root).prune(unfinished=True, remove=True).stages
    assert found.name == "link"
    assert (elsewhere / "checkpoints" / "last.pt").exists()
    assert not (kept[0].store.root / "stages" / "link").is_symlink()


@pytest.mark.parametrize("given", ["smal", "other.yaml"])
def test_a_spec_that_the_store_has_nothing_of_is_refused(kept, write_spec, tmp_path, capsys, given):
    write_spec(("[20, 60]", "[30]"), ("[0, 20, 40]", "[30]"), name="other.yaml")
    named = str(tmp_path / given) if given.endswith(".yaml") else given
    with pytest.raises(SystemExit) as ended:
        main(["store", "prune", "--keep", named, "--yes", "--store", str(kept[0].store.root)])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "has no stage of this spec, as it is now" in said or "Did you mean 'small'?" in said
    assert kept[0].store.keys() == set(kept[0].graph.nodes)


def test_the_contents_of_a_store_are_listed_within_80_columns(kept, capsys, monkeypatch):
    small, less = kept
    monkeypatch.setenv("COLUMNS", "80")
    store = small.store
    begun = store.stage("0begun")
    begun.fail("out of memory")
    code, said = run(capsys, "store", "ls", "--store", str(store.root))
    assert code == 0
    assert {one["name"]: (len(one["keys"]), one["trained"]) for one in said["sweeps"]} == {
        plan.name: (len(plan.graph.nodes),) * 2 for plan in kept
    }
    rows = {one["key"]: one for one in said["stages"]}
    assert rows.keys() == store.keys()
    assert sum(one["bytes"] for one in said["stages"]) > 0
    assert rows["0begun"]["state"] == "failed"
    for key, node in less.graph.nodes.items():
        assert rows[key]["names"] == [f"less/{node.name}", f"small/{node.name}"]
        assert (rows[key]["state"], rows[key]["model"], rows[key]["parent"]) == ("trained", "mace", node.parent)
        (used,) = node.training.sets
        assert rows[key]["labels"] == f"{used.labels} {used.size}"
    assert run(capsys, "store", "ls", "0beg", "--store", str(store.root))[1]["stages"] == [rows["0begun"]]
    trained = run(capsys, "store", "ls", "small", "--state", "trained", "--store", str(store.root))[1]
    assert {one["key"] for one in trained["stages"]} == set(small.graph.nodes)
    assert run(capsys, "store", "ls", "--older-than", "1h", "--store", str(store.root))[1]["stages"] == []
    with pytest.raises(SystemExit):
        main(["store", "ls", "--store", str(store.root)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 + 1 + len(rows) + 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("age", ["30", "d", "1.5d", "30y", ""])
def test_an_age_that_is_none_is_refused_with_an_example(kept, capsys, age):
    with pytest.raises(SystemExit) as ended:
        main(["store", "ls", "--older-than", age, "--store", str(kept[0].store.root)])
    assert ended.value.code == 2
    assert "expected a number with h, d or w, for example 30d" in " ".join(capsys.readouterr().err.split())


def test_a_name_that_means_nothing_is_refused(kept):
    with pytest.raises(StoreError, match="Did you mean 'small'"):
        Store(kept[0].store.root).contents("smal")
