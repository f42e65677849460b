import subprocess
import sys
from pathlib import Path

import pytest

from mfsweep.errors import StoreError
from mfsweep.files import beside, sha256, write_text
from mfsweep.metrics_file import entries
from mfsweep.records import BestCheckpoint, Record
from mfsweep.store import StoreFolder


def test_a_stage_without_record_is_not_done(store):
    folder = store.stage("k")
    assert folder.record() is None
    assert not folder.is_done([])


def test_a_damaged_record_hides_itself_and_is_named(store):
    folder = store.stage("k")
    write_text(folder.record_path, '{"key": 3')
    assert folder.record() is None
    assert not folder.is_done([])
    (damaged,) = folder.damaged([])
    assert damaged.path == folder.record_path
    assert "record.json is damaged (" in str(damaged)


def test_with_a_record_goes_what_rests_on_it_and_nothing_is_deleted(store):
    folder = store.stage("k")
    files = {
        "record.json": "{",
        "evaluations/test.json": "whole",
        "checkpoints/selected.pt": "whole",
        "train.log": "said",
    }
    for name, content in files.items():
        write_text(folder.path / name, content)
    folder.set_aside(folder.damaged([]))
    kept = {str(path.relative_to(folder.path)): path.read_text() for path in folder.path.rglob("*") if path.is_file()}
    assert kept == {
        "record.json.damaged-1": "{",
        "evaluations.damaged-1/test.json": "whole",
        "checkpoints/selected.pt": "whole",
        "train.log": "said",
    }


def test_an_evaluation_is_set_aside_by_itself(store):
    folder, asked = store.stage("k"), {"labels": "cc", "subset": "t", "part": "test"}
    for path in (folder.record_path, *folder.evaluation_paths(asked)):
        write_text(path, "{")
    folder.set_aside([one for one in folder.damaged([asked]) if one.path != folder.record_path])
    json_path, npz_path = folder.evaluation_paths(asked)
    assert {path.name for path in folder.evaluations.iterdir()} == {f"{json_path.name}.damaged-1", npz_path.name}
    assert folder.record_path.exists()


@pytest.mark.parametrize(
    "file", ["../../other/checkpoints/selected.pt", "/etc/passwd", "record.json", "checkpoints/..", ""]
)
def test_a_record_names_no_checkpoint_outside_of_its_stage(store, file):
    """A store is shared, and what a record names may be set aside."""
    damaged = store.stage("k").damaged_weights(BestCheckpoint(metric="m", step=1, value=0.0, file=file))
    assert damaged.path == store.stage("k").record_path
    assert repr(file) in str(damaged)


@pytest.fixture
def trained(store):
    """Make a stage with a record, as a run leaves it that is killed right after."""
    folder = store.stage("k")
    write_text(folder.metrics, '{"t": 1.0, "step": 1, "metrics": {"train.loss": 0.5}}\n')
    for name in ("last.pt", "selected.pt"):
        write_text(folder.checkpoints / name, name)
    weights = {"file": "checkpoints/selected.pt", "sha256": sha256(folder.selected)}
    best = BestCheckpoint(metric="validation.loss", step=1, value=0.5, **weights)
    folder.write_record(
        Record(
            key="k",
            training={
                "seed": 0,
                "data": {"digest": "0", "splits": {"seed": 0}},
                "model": {"architecture": "mace"},
                "sets": [],
            },
            parent=None,
            started=1.7e9,
            seconds=1,
            steps=1,
            stop_reason="max_steps",
            selected=best,
            heads={"cc": best},
            metrics={},
            offsets={},
            shares=[],
            parameters=9,
            workers=1,
            host="node-1",
            versions={},
        )
    )
    return folder


def names(folder):
    return {path.name for path in folder.path.rglob("*") if path.is_file()}


def test_a_trained_stage_keeps_no_state_to_resume_from_and_its_metrics_compressed(trained):
    assert not trained.is_tidy
    trained.tidy()
    assert trained.is_tidy
    assert names(trained) == {"record.json", "selected.pt", "metrics.jsonl.gz"}
    assert [entry.step for entry in entries(trained.metrics)] == [1]


def test_what_a_killed_process_was_writing_goes_with_the_state_it_was_to_be(trained):
    trained.tidy()
    (unfinished := beside(trained.last)).touch()
    assert not trained.is_tidy
    trained.tidy()
    assert trained.is_tidy
    assert not unfinished.exists()


def test_the_whole_state_stays_where_it_is_asked_for_and_the_one_before_goes(trained):
    write_text(trained.before, "before")
    trained.tidy(keep="all")
    assert trained.is_tidy
    assert names(trained) == {"record.json", "selected.pt", "final.pt", "metrics.jsonl.gz"}
    assert trained.final.read_text() == "last.pt"
    trained.tidy()  # of a spec that does not ask for it
    assert trained.final.exists()


def test_a_stage_that_is_not_trained_keeps_all_to_go_on(trained):
    trained.record_path.unlink()
    before = names(trained)
    trained.tidy()
    assert names(trained) == before


@pytest.mark.parametrize("name", ["record.json", "checkpoints/selected.pt"])
def test_a_stage_with_a_damaged_record_or_weights_keeps_all_to_go_on(trained, name):
    """They are made again from last.pt: without it all steps would be trained once more."""
    write_text(trained.path / name, '{"key": 3')
    before = names(trained)
    trained.tidy()
    assert names(trained) == before


@pytest.mark.parametrize("kill_at", [1, 2, 3], ids=["the removal of last.pt", "the rename", "the removal of the plain"])
def test_what_a_killed_tidying_left_goes_with_the_next(trained, monkeypatch, kill_at):
    calls = 0

    def counted(original):
        def call(*args, **options):
            nonlocal calls
            calls += 1
            if calls == kill_at:
                raise KeyboardInterrupt
            return original(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("unlink", "replace"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        with pytest.raises(KeyboardInterrupt):
            trained.tidy()
        assert [entry.step for entry in entries(trained.metrics)] == [1]
    trained.tidy()
    assert names(trained) == {"record.json", "selected.pt", "metrics.jsonl.gz"}


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        StoreFolder(tmp_path / "file" / "store").prepare()


def test_a_claim_excludes_other_processes_and_goes_with_its_holder(store):
    folder = store.stage("k")
    holder = (
        "import sys; from pathlib import Path; from mfsweep.store import StageFolder\n"
        "with StageFolder(Path(sys.argv[1])).claim() as mine:\n"
        "    print(bool(mine), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "True\n"
        with folder.claim() as mine:
            assert not mine
        process.kill()
        process.wait()
        with folder.claim() as mine:
            assert mine


def test_evaluations_of_different_content_have_different_files(store):
    folder = store.stage("k")
    one = folder.evaluation_paths({"labels": "cc", "subset": "t", "part": "test"})
    other = folder.evaluation_paths({"labels": "cc", "subset": "t", "part": "test", "offsets": "dft"})
    assert one != other


def test_a_failure_is_known_until_the_stage_begins_again(store):
    folder = store.stage("k")
    assert folder.failure() is None
    folder.begin()
    folder.fail("the loss is not finite")
    assert folder.failure() == "the loss is not finite"
    folder.fail("again")
    assert folder.failure() == "again"
    folder.begin()
    assert folder.failure() is None


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"reason": 1}', '{"reason": " "}', "\0"])
def test_a_damaged_failure_is_one_all_the_same(store, content):
    folder = store.stage("k")
    folder.fail("once")
    (folder.path / "failure.json").write_text(content)
    assert folder.failure().strip()


def test_a_stage_is_abandoned_when_it_was_begun_and_no_process_is_at_it(store):
    assert not store.is_abandoned("k"), "another store's"
    with store.stage("k").claim():
        assert not store.is_abandoned("k")
    assert store.is_abandoned("k")


def test_a_full_disk_is_no_store_that_may_only_be_read(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mfsweep.store.store.tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match="No space left"):
        StoreFolder(tmp_path).prepare()
