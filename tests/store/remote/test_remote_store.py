"""What is seen of a store at a URL, whoever writes beside whom and dies at whatever point."""

from __future__ import annotations

import contextlib
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from object_storage import EVALUATION, begin, contents, evaluate, train

from mfsweep.errors import StoreError
from mfsweep.store import StoreFolder
from mfsweep.store.remote import RemoteStore
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.units import STATE, TRAINED, read, state_unit

WRITES = ("create", "put", "put_file", "remove")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def remote_store() -> RemoteStore:
    """Return an empty store in the memory of this process."""
    made = RemoteStore.at(f"memory://lab/{uuid.uuid4().hex}")
    made.prepare()
    return made


@pytest.fixture
def remote():
    return remote_store()


@pytest.fixture
def copies(tmp_path):
    """Give a function that makes the store of a host."""

    def make(name=None):
        made = StoreFolder(tmp_path / (name or uuid.uuid4().hex))
        made.prepare()
        return made

    return make


def pulled(remote, store, key="k", **options):
    """Return the files of a stage as a host gets them, nothing where it is not trained."""
    folder = store.stage(key)
    known = remote.stages().get(key, set())
    if TRAINED in known:
        remote.pull_stage(folder, known, **options)
    return contents(folder)


class Killed(BaseException):
    """What ends a process in the middle."""


@contextlib.contextmanager
def before_each_write(step):
    """Have every call that writes to a storage call `step` first."""
    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            original = getattr(Objects, name)

            def call(self, *args, original=original):
                step()
                return original(self, *args)

            patch.setattr(Objects, name, call)
        yield


def test_a_stage_arrives_as_it_is_and_its_weights_when_they_are_read(remote, copies):
    folder = train(copies().stage("k"))
    assert remote.push_stage(folder, set()) == 2
    assert remote.push_stage(folder, remote.units("k")) == 0
    there = copies()
    without = {name: raw for name, raw in contents(folder).items() if not name.startswith("checkpoints/")}
    assert pulled(remote, there) == without
    assert there.stage("k").is_done([EVALUATION])
    remote.pull_weights(there.stage("k"))
    assert contents(there.stage("k")) == contents(folder)
    assert pulled(remote, copies(), weights=True) == contents(folder)


def test_an_evaluation_that_another_host_has_made_is_added(remote, copies):
    first, second = copies(), copies()
    remote.push_stage(train(first.stage("k")), set())
    pulled(remote, second)
    more = {**EVALUATION, "subset": "a"}
    evaluate(second.stage("k"), more)
    assert remote.push_stage(second.stage("k"), remote.units("k")) == 1
    pulled(remote, first)
    assert first.stage("k").is_done([EVALUATION, more])


@quick
@given(kill_at=st.integers(0, 20))
def test_a_put_that_is_killed_at_any_point_leaves_no_half_stage_and_the_next_one_does_the_rest(copies, kill_at):
    remote, folder, calls = remote_store(), train(copies().stage("k")), 0

    def step():
        nonlocal calls
        calls += 1
        if calls > kill_at:
            raise Killed

    with before_each_write(step), contextlib.suppress(Killed):
        remote.push_stage(folder, set())
    there = copies()
    seen = pulled(remote, there, weights=True)
    expected = contents(folder)
    whole = {name: raw for name, raw in expected.items() if not name.startswith("evaluations/")}
    assert seen in ({}, whole, expected)
    assert bool(seen) == (TRAINED in remote.stages().get("k", set()))
    remote.push_stage(folder, remote.units("k"))
    assert pulled(remote, copies(), weights=True) == expected
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".push")]


class Interleaved:
    """Two writers that take turns before each write, in a given order; between two turns somebody looks."""

    def __init__(self, order, look):
        self.order, self.look = list(order), look
        self.ready = threading.Condition()
        self.running = {0, 1}
        self.me = threading.local()

    def step(self):
        with self.ready:
            while self.order and self.order[0] != self.me.number and len(self.running) == 2:
                assert self.ready.wait(30)
            if self.order:
                self.order.pop(0)
            self.look()
            self.ready.notify_all()

    def run(self, works):
        errors = []

        def write(number):
            self.me.number = number
            try:
                works[number]()
            except Exception as error:  # noqa: BLE001 (told to the test)
                errors.append(error)
            finally:
                with self.ready:
                    self.running.discard(number)
                    self.ready.notify_all()

        threads = [threading.Thread(target=write, args=(number,)) for number in (0, 1)]
        with before_each_write(self.step):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not errors


@quick
@given(order=st.lists(st.integers(0, 1), max_size=24))
def test_of_two_that_put_one_stage_in_any_interleaving_a_reader_sees_one_and_whole(copies, order):
    """As where a run was stopped for so long that another one has trained its stage too."""
    remote, stores = remote_store(), (copies(), copies())
    folders = [train(store.stage("k"), said) for store, said in zip(stores, ("here", "there, later"), strict=True)]
    trainings = [
        {name: raw for name, raw in contents(folder).items() if not name.startswith("evaluations/")}
        for folder in folders
    ]
    seen = []

    def look():
        found = pulled(remote, copies(), weights=True)
        training = {name: raw for name, raw in found.items() if not name.startswith("evaluations/")}
        assert training in ({}, *trainings)
        if training:
            seen.append(training)

    Interleaved(order, look).run([lambda folder=folder: remote.push_stage(folder, set()) for folder in folders])
    look()
    assert all(training == seen[0] for training in seen), "the first one stays"


@quick
@given(order=st.lists(st.integers(0, 1), max_size=24), steps=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_of_two_that_put_a_state_a_reader_sees_one_and_whole_or_nothing(copies, order, steps):
    remote, stores = remote_store(), (copies(), copies())
    folders = [begin(store.stage("k"), step, said) for store, step, said in zip(stores, steps, "ab", strict=True)]
    states = [contents(folder) for folder in folders]

    def look():
        folder = copies().stage("k")
        if remote.pull_state(folder) is not None:
            assert contents(folder) in states

    Interleaved(order, look).run([lambda folder=folder: remote.push_state(folder) for folder in folders])


def test_what_is_behind_is_not_gone_on_from(remote, copies):
    ahead, behind = begin(copies().stage("k"), 8), begin(copies().stage("k"), 4)
    remote.push_state(behind)
    assert remote.pull_state(ahead) is None
    assert ahead.last.read_text() == "state 8"
    remote.push_state(ahead)
    assert remote.pull_state(behind) == 8
    assert contents(behind) == contents(ahead)
    kept = [name for name in remote.objects.names("files/k") if name.endswith("last.pt")]
    assert len(kept) == 1, "what was put before has gone"


def test_a_stage_that_is_done_has_no_state_any_more(remote, copies):
    folder = begin(copies().stage("k"), 4)
    remote.push_state(folder)
    train(folder)
    folder.tidy()
    remote.push_stage(folder, remote.units("k"))
    assert STATE not in remote.units("k")


def test_a_stage_that_was_put_without_weights_gets_them_from_who_has_them(remote, copies):
    whole, bare = train(copies().stage("k")), train(copies().stage("k"))
    for path in bare.checkpoints.iterdir():
        path.unlink()
    remote.push_stage(bare, set())
    remote.push_stage(whole, set())
    assert pulled(remote, copies(), weights=True) == contents(whole)


def test_damaged_weights_are_not_put(remote, copies):
    folder = train(copies().stage("k"))
    folder.selected.write_text("other bytes")
    with pytest.raises(StoreError, match=r"selected\.pt is damaged \(sha256 .*, recorded .*\)"):
        remote.push_stage(folder, set())
    assert not remote.stages()


@pytest.mark.parametrize("name", ["selected.pt", "record.json", "metrics.jsonl.gz"])
def test_a_damaged_object_is_named_and_nothing_of_it_arrives(remote, copies, name):
    remote.push_stage(train(copies().stage("k")), set())
    (object_,) = (one for one in remote.objects.names("files/k") if one.endswith(f"-{name}"))
    remote.objects.put(object_, b"other bytes")
    folder = copies().stage("k")
    with pytest.raises(StoreError, match=rf"memory://lab/.*{name} is damaged \(sha256"):
        remote.pull_stage(folder, remote.units("k"), weights=True)
    assert not any(path.name == name for path in folder.path.rglob("*"))
    assert name == "selected.pt" or folder.record() is None


PATHS = ["../../other/record.json", "/etc/passwd", ".claim", "checkpoints/../../x", "a/b/c/d", "checkpoints/.x", ""]


@pytest.mark.parametrize("path", PATHS)
def test_a_manifest_names_no_file_outside_of_its_stage(remote, copies, path):
    """A store is shared, and whoever may write to it may write anything."""
    digest = "0" * 64
    remote.objects.put(
        "stages/k/trained.json",
        f'{{"format": 1, "files": {{"{path}": {{"sha256": "{digest}", "bytes": 1}}}}}}'.encode(),
    )
    remote.objects.put(f"files/k/{digest}-{Path(path).name}", b"x")
    store = copies()
    with pytest.raises(StoreError, match=r"stages/k/trained\.json is damaged"):
        remote.pull_stage(store.stage("k"), remote.units("k"), weights=True)


@pytest.mark.parametrize("key", ["..", ".hidden", "a b", "k.damaged-1"])
def test_an_object_whose_name_is_no_stage_is_none(remote, key):
    remote.objects.put(f"stages/{key}/trained.json", b"{}")
    remote.objects.put(f"sweeps/{key}.json", b"{}")
    assert remote.stages() == {}
    assert not remote.sweep_names() - {"k"}


@given(raw=st.binary(max_size=60) | st.sampled_from([b"{}", b'{"format": 2, "files": {}}', b"[]", b"null"]))
def test_a_manifest_of_any_bytes_is_refused_in_a_sentence(raw):
    with pytest.raises(StoreError, match=r"^here is damaged, or of a later version of mfsweep"):
        read(raw, "here")


def test_a_log_that_grows_while_it_is_put_is_put_as_it_was(remote, copies):
    folder = begin(copies().stage("k"), 4)
    original = Objects.put_file

    def put(self, name, path):
        with folder.log.open("a") as file:
            file.write("more\n")
        original(self, name, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "put_file", put)
        remote.push_state(folder)
    there = copies().stage("k")
    assert remote.pull_state(there) == 4
    assert there.log.read_text() == "state 4\n"
    assert set(state_unit(folder).paths) == set(contents(there))
