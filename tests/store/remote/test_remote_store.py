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
from mfsweep.files import write_text
from mfsweep.metrics_file import entries, packed
from mfsweep.store import StoreFolder
from mfsweep.store.remote import RemoteStore, units
from mfsweep.store.remote.copied import is_newer, step_of
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.remote_removal import unread
from mfsweep.store.remote.remote_store import DamagedUnitError
from mfsweep.store.remote.units import TRAINED, finished_units, read, snapshot, state_unit, states
from mfsweep.train.checkpoint import save_state

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


def killed(at, names=WRITES, of: type = Objects):
    """End a process before one of its calls, to the storage or to a disk; the names are those of all that count."""
    left = iter(range(at))

    def step():
        if next(left, None) is None:
            raise Killed

    return before_each(names, step, of)


@contextlib.contextmanager
def before_each(names, step, of: type = Objects):
    """Have every such call call `step` first."""
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            original = getattr(of, name)

            def call(self, *args, original=original):
                step()
                return original(self, *args)

            patch.setattr(of, name, call)
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
    remote, folder = remote_store(), begin(copies().stage("k"), 4)
    remote.push_state(folder, 1)
    train(folder)
    folder.tidy()
    with killed(kill_at), contextlib.suppress(Killed):
        remote.push_stage(folder, remote.units("k"))
    there = copies()
    seen = pulled(remote, there, weights=True)
    expected = contents(folder)
    whole = {name: raw for name, raw in expected.items() if not name.startswith("evaluations/")}
    assert seen in ({}, whole, expected)
    assert bool(seen) == (TRAINED in remote.stages().get("k", set()))
    remote.push_stage(folder, remote.units("k"))
    assert pulled(remote, copies(), weights=True) == expected
    assert not states(remote.units("k")), "a stage that is trained has none"
    assert not unread(remote)
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
        with before_each(WRITES, self.step):
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
    assert not unread(remote), "and nothing of the other"


STEPS = st.integers(1, 9)


@settings(quick, max_examples=30)
@given(order=st.lists(st.integers(0, 1), max_size=24), steps=st.tuples(STEPS, STEPS, STEPS))
def test_of_two_that_put_a_state_in_any_order_that_of_the_later_lease_stands_and_a_reader_sees_one_and_whole(
    copies, order, steps
):
    """As where a run is stopped for so long that another one takes its stage over, and its put arrives then."""
    remote, stores = remote_store(), (copies(), copies())
    lost, holder = (store.stage("k") for store in stores)
    remote.push_state(begin(lost, steps[0]), 1)
    assert remote.pull_state(holder) == steps[0], "it begins with the same files"
    seen = [contents(lost), contents(begin(lost, steps[1])), contents(begin(holder, steps[2], "holder"))]

    def look():
        folder = copies().stage("k")
        assert remote.pull_state(folder)
        assert contents(folder) in seen

    Interleaved(order, look).run([lambda: remote.push_state(lost, 1), lambda: remote.push_state(holder, 2)])
    there = copies().stage("k")
    assert remote.pull_state(there) == steps[2]
    assert contents(there) == contents(holder)
    assert not unread(remote)
    remote.push_state(lost, 1)
    assert states(remote.units("k")) == ["state.000002"]


@quick
@given(order=st.lists(st.integers(0, 1), max_size=24))
def test_a_state_that_is_put_while_its_stage_comes_to_be_trained_goes_again(copies, order):
    remote, stores = remote_store(), (copies(), copies())
    lost, holder = begin(stores[0].stage("k"), 4), train(stores[1].stage("k"))
    remote.push_state(lost, 1)
    works = [lambda: remote.push_state(begin(lost, 8), 1), lambda: remote.push_stage(holder, remote.units("k"))]
    Interleaved(order, lambda: None).run(works)
    assert not states(remote.units("k"))
    assert not unread(remote)
    assert pulled(remote, copies(), weights=True) == contents(holder)


def is_away(folder):
    """Leave the files as they are while the next checkpoint is written, or after a kill then."""
    save_state(folder.last, {})
    folder.last.unlink()


def is_set_aside(folder):
    folder.last.rename(folder.last.with_name("last.pt.damaged-1"))


MOMENTS = {
    "the checkpoint is away": is_away, "it was set aside": is_set_aside, "it is there": lambda _: None,
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
@quick
@given(kill_at=st.integers(0, 12), lease=st.integers(1, 2))
def test_a_put_of_a_state_at_any_moment_killed_at_any_point_loses_no_checkpoint(copies, moment, kill_at, lease):
    remote, folder = remote_store(), begin(copies().stage("k"), 4)
    remote.push_state(folder, 1)
    MOMENTS[moment](begin(folder, 8))
    with killed(kill_at), contextlib.suppress(Killed):
        remote.push_state(folder, lease)
    there = copies().stage("k")
    assert remote.pull_state(there) in (4, 8)
    assert there.last.read_text() == there.log.read_text().strip() in ("state 4", "state 8")
    remote.push_state(begin(folder, 12), 2)
    assert remote.pull_state(there) == 12
    assert contents(there) == {name: raw for name, raw in contents(folder).items() if name in contents(there)}
    assert not unread(remote)


def test_who_begins_anew_replaces_what_is_of_no_use(remote, copies):
    remote.push_state(begin(copies().stage("k"), 8), 1)
    remote.push_state(begin(copies().stage("k"), 2, "anew"), 2)
    there = copies().stage("k")
    assert remote.pull_state(there) == 2
    assert there.last.read_text() == "anew 2"


def test_a_stage_whose_checkpoint_is_away_here_is_as_far_as_it_is(remote, copies):
    folder = begin(copies().stage("k"), 8)
    remote.push_state(begin(copies().stage("k"), 4), 1)
    is_away(folder)
    assert step_of(folder) == 8
    assert remote.pull_state(folder) is None, "else what is there would be behind what is here"


@quick
@given(at=st.integers(0, 3))
def test_a_state_that_is_replaced_while_it_is_copied_is_copied_as_it_is_then(copies, at):
    remote, folder, there = remote_store(), begin(copies().stage("k"), 4), copies().stage("k")
    remote.push_state(folder, 1)
    left = iter([None] * at)

    def step():
        if next(left, 0) == 0 and step_of(folder) == 4:
            remote.push_state(begin(folder, 8), 2)

    with before_each(["get_file"], step):
        assert remote.pull_state(there) == (8 if at < 3 else 4)
    assert contents(there)["train.log"] == contents(there)["checkpoints/last.pt"] + b"\n"


@pytest.mark.parametrize("call", range(9))
def test_the_steps_of_a_checkpoint_are_among_the_metrics_that_are_put_with_it(copies, monkeypatch, call):
    folder, original, calls = begin(copies().stage("k"), 4), units._taken, iter(range(99))

    def taken(path, copy):
        if next(calls) == call:
            begin(folder, 8)
        return original(path, copy)

    monkeypatch.setattr(units, "_taken", taken)
    with snapshot(state_unit(folder)) as (place, _):
        step = int((place / units.LAST).read_text().split()[1])
        assert max(entry.step for entry in entries(place / folder.metrics.name)) >= step


@pytest.mark.parametrize("call", range(9))
def test_the_metrics_of_a_stage_that_is_tidied_while_it_is_put_are_put(copies, monkeypatch, call):
    folder, original, calls = train(copies().stage("k")), units._taken, iter(range(99))
    write_text(folder.metrics, "")
    packed(folder.metrics).unlink()
    unit = next(finished_units(folder))

    def taken(path, copy):
        if next(calls) == call:
            folder.tidy()
        return original(path, copy)

    monkeypatch.setattr(units, "_taken", taken)
    with snapshot(unit) as (_, manifest):
        assert any(path.startswith("metrics.jsonl") for path in manifest.files)


@quick
@given(kill_at=st.integers(0, 14), weights=st.booleans())
def test_a_copy_of_a_stage_that_is_killed_leaves_what_was_here_or_all_that_is_there(copies, kill_at, weights):
    remote, trained, folder = remote_store(), train(copies().stage("k")), begin(copies().stage("k"), 4)
    folder.fail("the network is down")
    remote.push_stage(trained, set())
    before = contents(folder)
    with killed(kill_at, ["get_file"]), contextlib.suppress(Killed):
        remote.pull_stage(folder, {TRAINED}, weights=weights)
    expected = {name: raw for name, raw in contents(trained).items() if not name.startswith("evaluations/")}
    if not weights:
        expected = {name: raw for name, raw in expected.items() if not name.startswith("checkpoints/")}
    assert contents(folder) in (before, expected)
    with killed(kill_at, ["replace"], Path), contextlib.suppress(Killed):
        remote.pull_stage(folder, {TRAINED}, weights=weights)
    remote.pull_stage(folder, {TRAINED}, weights=weights)
    assert contents(folder) == expected
    assert not list(folder.path.glob(".pull-*"))


def test_a_damaged_stage_in_the_storage_takes_no_checkpoint_from_who_goes_on(remote, copies):
    folder = begin(copies().stage("k"), 4)
    remote.push_stage(train(copies().stage("k")), set())
    (place,) = (one for one in remote.objects.names("files/k") if one.endswith("-record.json"))
    remote.objects.put(place, b"other bytes")
    before = contents(folder)
    with pytest.raises(DamagedUnitError):
        remote.pull_stage(folder, remote.units("k"))
    assert contents(folder) == before


def test_what_has_taken_the_place_of_a_damaged_unit_is_not_set_aside(remote, copies):
    folder, reader = train(copies().stage("k")), copies()
    remote.push_stage(folder, set())
    pulled(remote, reader)
    for name in remote.objects.names("files/k"):
        remote.objects.put(name, b"other bytes")
    with pytest.raises(DamagedUnitError) as found:
        remote.pull_weights(reader.stage("k"))
    assert remote.set_aside(found.value.name, found.value.manifest)
    again = train(copies().stage("k"), "made again")
    remote.push_stage(again, remote.units("k"))
    assert not remote.set_aside(found.value.name, found.value.manifest), "as by another reader, later"
    training = {name: raw for name, raw in contents(again).items() if not name.startswith("evaluations/")}
    there = copies().stage("k")
    remote.pull_stage(there, {TRAINED}, weights=True)
    assert contents(there) == training


def sweep_of(store, said, more=()):
    """Write what a run of a spec leaves."""
    folder = store.sweep("s")
    for name in ("cells.json", "report.html", "figures/one.png", *more):
        write_text(folder.path / name, f"{name} {said}")
    write_text(folder.path / "spec.yaml", "the same")
    return folder


@settings(quick, max_examples=20)
@given(order=st.lists(st.integers(0, 1), max_size=24), again=st.booleans())
def test_of_two_that_put_a_sweep_in_any_order_a_reader_sees_one_and_whole(copies, order, again):
    remote = remote_store()
    first = sweep_of(copies(), "first", ["claims.json"])
    remote.push_sweep(first)
    writers = [sweep_of(copies(), "first" if again else "a", ["claims.json"]), sweep_of(copies(), "b")]
    seen = [contents(folder) for folder in (first, *writers)]

    def look():
        folder = copies().sweep("s")
        remote.pull_sweep(folder)
        assert contents(folder) in [{n: raw for n, raw in one.items() if n != ".shared.json"} for one in seen]

    Interleaved(order, look).run([lambda folder=folder: remote.push_sweep(folder) for folder in writers])
    look()


@quick
@given(kill_at=st.integers(0, 10))
def test_a_copy_of_a_sweep_that_is_killed_is_made_again(copies, kill_at):
    remote, here, there = remote_store(), sweep_of(copies(), "first"), copies().sweep("s")
    remote.push_sweep(here)
    remote.pull_sweep(there)
    before = contents(there)
    remote.push_sweep(sweep_of(StoreFolder(here.path.parents[1]), "second"))
    with killed(kill_at, ["get_file"]), contextlib.suppress(Killed):
        remote.pull_sweep(there)
    assert contents(there) in (before, contents(here))
    with killed(kill_at, ["replace"], Path), contextlib.suppress(Killed):
        remote.pull_sweep(there)
    assert not is_newer(there)
    remote.pull_sweep(there)
    assert contents(there) == contents(here)


def test_what_a_run_writes_while_its_sweep_is_put_is_newer(remote, copies):
    folder = sweep_of(copies(), "first")

    def step():
        write_text(folder.cells_path, "second")

    with before_each(["put"], step):
        remote.push_sweep(folder)
    assert is_newer(folder)
    remote.pull_sweep(folder)
    assert folder.cells_path.read_text() == "second"


def test_what_is_behind_is_not_gone_on_from(remote, copies):
    ahead, behind = begin(copies().stage("k"), 8), begin(copies().stage("k"), 4)
    remote.push_state(behind, 1)
    assert remote.pull_state(ahead) is None
    assert ahead.last.read_text() == "state 8"
    remote.push_state(ahead, 1)
    assert remote.pull_state(behind) == 8
    assert contents(behind) == contents(ahead)
    kept = [name for name in remote.objects.names("files/k") if name.endswith("last.pt")]
    assert len(kept) == 1, "what was put before has gone"


def test_a_stage_that_is_done_has_no_state_any_more(remote, copies):
    folder = begin(copies().stage("k"), 4)
    remote.push_state(folder, 1)
    train(folder)
    folder.tidy()
    remote.push_stage(folder, remote.units("k"))
    assert not states(remote.units("k"))
    assert not unread(remote), "nor its files"


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
        remote.push_state(folder, 1)
    there = copies().stage("k")
    assert remote.pull_state(there) == 4
    assert there.log.read_text() == "state 4\n"
    assert set(contents(folder)) == set(contents(there)) < set(state_unit(folder).paths)
