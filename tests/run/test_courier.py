"""Two runs of one store at a URL, each with a working copy of its own as on two hosts; no Ray, and no time that passes."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from concurrent.futures import wait

import pytest
from object_storage import EVALUATION, begin, contents, evaluate, train

from mfsweep.metrics_file import packed
from mfsweep.run import courier as module
from mfsweep.run.courier import Courier, couriered
from mfsweep.run.turns import Turns
from mfsweep.store import StoreFolder
from mfsweep.store.lease import DEAD_SECONDS, Observer
from mfsweep.store.remote import RemoteStore, urls
from mfsweep.store.remote.leases import holder_here
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.refresh import refresh
from mfsweep.store.stage_folder import ELSEWHERE


class Hosts:
    """Hosts that share a store: each has its working copy and says what its courier says."""

    def __init__(self, folder, patch):
        self.url = f"memory://lab/{uuid.uuid4().hex}"
        self.remote = RemoteStore.at(self.url)
        self.remote.prepare()
        self.folder, self.patch, self.now = folder, patch, 0.0
        self.said: list[str] = []

    def store(self, name):
        self.patch.setenv(urls.VARIABLE, str(self.folder / name))
        store = StoreFolder(urls.working_copy(self.url))
        store.prepare()
        return store

    @contextlib.contextmanager
    def running(self, name):
        """Give the courier of a run on a host, and whose turn is what there; the clock is the test's."""
        store = self.store(name)
        with couriered(store, self.said.append) as courier:
            courier._observer = Observer(lambda: self.now, DEAD_SECONDS)
            yield store, courier, Turns(store, courier, lambda key: store.stage(key).is_done([EVALUATION]))


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    return Hosts(tmp_path, monkeypatch)


def ended(courier, key):
    """Wait until what came of a stage is put."""
    courier.ended(key)
    courier._carried[key].result()


def test_what_one_run_is_at_is_held_back_from_the_other_and_taken_over_from_it_when_it_is_done(hosts):
    with hosts.running("a") as (here, a, mine), hosts.running("b") as (there, _, theirs):
        assert not mine.is_held("k")
        assert mine.take("k", None)
        assert theirs.is_held("k")
        assert not theirs.take("k", None)
        train(here.stage("k"))
        ended(a, "k")
        assert not theirs.is_held("k")
        assert there.stage("k").is_done([EVALUATION]), "it was copied as it is"
        assert not theirs.take("k", None), "there is nothing to do"
        assert not mine.is_held("k"), "and nothing is held"


def test_of_any_who_want_a_stage_at_once_one_gets_it(hosts):
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(hosts.running(name)) for name in "abcd"]
        for key in map(str, range(12)):
            assert sum(turns.take(key, None) for _, _, turns in runs) == 1
        assert sum(len(courier._leases) for _, courier, _ in runs) == 12


def test_a_child_finds_the_weights_of_a_parent_that_another_host_has_trained(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("parent", None)
        train(here.stage("parent"))
        ended(a, "parent")
    with hosts.running("b") as (there, _, theirs):
        refresh(there)
        folder = there.stage("parent")
        best = folder.record().selected
        assert not folder.selected.exists()
        assert folder.damaged_weights(best, whole=False) is None, "they can be had"
        assert theirs.take("child", "parent")
        assert folder.selected.read_text() == "selected.pt weights"


def test_weights_are_copied_when_they_are_read_and_not_before(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        ended(a, "k")
    there = hosts.store("b")
    refresh(there)
    folder = there.stage("k")
    assert folder.damaged_weights(folder.record().selected, fetch=False).why == "is missing"
    assert folder.damaged_weights(folder.record().selected) is None
    assert contents(folder) == contents(here.stage("k"))


def test_a_stage_goes_on_on_another_host_from_where_it_was_cut_short(hosts):
    with hosts.running("a") as (here, _, mine):
        assert mine.take("k", None)
        begin(here.stage("k"), 6)
    with hosts.running("b") as (there, _, theirs):
        assert not theirs.is_held("k"), "it was given back"
        assert theirs.take("k", None)
        assert there.stage("k").last.read_text() == "state 6"
        assert (
            "goes on from step 6, where another machine has left it at memory://lab/"
            in there.stage("k").log.read_text()
        )


def test_a_run_that_died_is_followed_after_a_while_and_not_before(hosts):
    with hosts.running("b") as (_, _, theirs):
        dead = hosts.store("a")
        with holder_here(dead.root, "feed") as here:
            a = Courier(dead, hosts.remote, here, hosts.said.append)
            assert a.take("k", None)
        a._ended.set()
        a._beats.join()
        for seconds in range(int(DEAD_SECONDS)):
            hosts.now = float(seconds)
            assert theirs.is_held("k")
        hosts.now = DEAD_SECONDS
        assert not theirs.is_held("k")
        assert theirs.take("k", None)


def test_a_run_that_died_here_is_followed_at_once_by_the_next_one_in_its_working_copy(hosts):
    store = hosts.store("a")
    with holder_here(store.root, "feed") as here:
        dead = Courier(store, hosts.remote, here, hosts.said.append)
        assert dead.take("k", None)
        with hosts.running("a") as (_, _, mine):
            assert mine.is_held("k"), "its lock tells that it lives"
        dead._ended.set()
        dead._beats.join()
    with hosts.running("a") as (_, _, mine):
        assert not mine.is_held("k")
        assert mine.take("k", None)


def test_who_was_not_heard_of_for_long_leaves_its_stage_to_the_other(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        with here.stage("k").claim() as trial:
            place = hosts.remote.lease_place("k")
            other = module.take(place, module.read_lease(place))
            assert other, "another host takes it for dead"
            for _ in range(500):
                if trial.is_lost():
                    break
                a._ended.wait(0.02)
            assert trial.is_lost(), "the training ends at its next validation"
        assert not a._leases
        assert mine.is_held("k")
        other.release()


def test_who_has_lost_a_stage_puts_nothing_over_what_its_new_holder_has_put(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        lease, place = a._leases["k"], hosts.remote.lease_place("k")
        assert module.take(place, module.read_lease(place)), "another host takes it for dead"
        hosts.remote.push_state(begin(hosts.store("b").stage("k"), 2), 2)
        begin(here.stage("k"), 4)
        a._leases["k"] = lease  # the next beat tells that it is lost
        a._put_state("k")
        a._leases.pop("k", None)
        a._put_state("k")
        ended(a, "k")
    assert hosts.remote.units("k") == {"state.000002"}
    assert hosts.remote.pull_state(hosts.store("c").stage("k")) == 2


def test_a_state_that_is_put_slowly_comes_before_whatever_is_put_of_its_stage_later(hosts, monkeypatch):
    monkeypatch.setattr(module, "STATE_SECONDS", -1.0)
    begun, go_on, order = threading.Event(), threading.Event(), []

    def push_state(self, folder, lease):
        begun.set()
        assert go_on.wait(30)
        order.append("state")

    monkeypatch.setattr(RemoteStore, "push_state", push_state)
    monkeypatch.setattr(RemoteStore, "push_stage", lambda *_: order.append("stage"))
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        begin(here.stage("k"), 4)
        for _ in range(2):
            a.validated("k")
        assert begun.wait(30)
        train(here.stage("k"))
        a.ended("k")
        wait([a._carried["k"]], 0.2)
        assert order == []
        go_on.set()
    assert order == ["state", "stage"]


def test_while_the_storage_is_away_nothing_begins_and_what_ended_is_put_when_it_is_back(hosts, monkeypatch):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        with monkeypatch.context() as patch:
            for name in ("create", "put", "put_file", "get", "names"):
                patch.setattr(Objects, name, away)
            ended(a, "k")
            assert mine.is_held("other")
            assert mine.is_held("another")
            assert len(hosts.said) == 1, "said once"
            assert hosts.said[0].startswith(f"{hosts.url} cannot be used at this moment")
        for _ in range(500):
            if "trained" in hosts.remote.units("k"):
                break
            a._ended.wait(0.02)
        assert "trained" in hosts.remote.units("k")
        assert not mine.is_held("other")


def test_what_could_not_be_put_is_said_and_put_by_the_next_run(hosts, monkeypatch):
    with monkeypatch.context() as patch, hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        patch.setattr(Objects, "put_file", away)
        ended(a, "k")
    assert hosts.said[-1].startswith(f"1 stage of {here.root} could not be put to {hosts.url} (")
    assert not hosts.remote.units("k")
    with hosts.running("a") as (_, _, mine):
        mine.begin(["k"])
    assert "trained" in hosts.remote.units("k")


def spoil(hosts, name):
    """Overwrite an object of a stage with other bytes."""
    (found,) = (one for one in hosts.remote.objects.names("files/k") if one.endswith(f"-{name}"))
    hosts.remote.objects.put(found, b"other bytes")


def test_a_damaged_stage_at_the_url_is_set_aside_and_made_again(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        ended(a, "k")
    spoil(hosts, "record.json")
    with hosts.running("b") as (there, b, theirs):
        refresh(there)
        assert there.stage("k").record() is None, "it hides itself, and nothing else"
        assert theirs.take("k", None)
        assert "record.json is damaged (sha256 " in hosts.said[-1]
        assert hosts.said[-1].endswith(": set aside, and made again")
        train(there.stage("k"))
        ended(b, "k")
    third = hosts.store("c")
    hosts.remote.pull_stage(third.stage("k"), hosts.remote.units("k"), weights=True)
    assert contents(third.stage("k")) == contents(there.stage("k"))


def test_a_parent_whose_weights_are_damaged_at_the_url_counts_as_not_there(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        ended(a, "k")
    spoil(hosts, "selected.pt")
    with hosts.running("b") as (there, _, theirs):
        refresh(there)
        folder = there.stage("k")
        assert theirs.take("child", "k"), "its trial says what is wrong"
        assert folder.damaged_weights(folder.record().selected).why == "is missing"
        assert "trained" not in hosts.remote.units("k")


def test_an_evaluation_that_is_missing_is_made_by_whoever_needs_it(hosts):
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        train(here.stage("k"))
        ended(a, "k")
    more = {**EVALUATION, "subset": "a"}
    with hosts.running("b") as (there, b, _):
        refresh(there)
        turns = Turns(there, b, lambda key: there.stage(key).is_done([EVALUATION, more]))
        assert turns.take("k", None)
        assert there.stage("k").selected.exists(), "it is made from the weights"
        evaluate(there.stage("k"), more)
        ended(b, "k")
    refresh(here)
    assert here.stage("k").is_done([EVALUATION, more])


def test_who_reads_sees_what_failed_elsewhere_and_that_it_begins_again(hosts):
    there = hosts.store("b").stage("k")
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        begin(here.stage("k"), 4).fail("the loss is not finite")
        ended(a, "k")
        refresh(hosts.store("b"))
        assert there.failure() == "the loss is not finite"
        assert mine.take("k", None)
        here.stage("k").begin()
        a._put_state("k")
        refresh(hosts.store("b"))
        assert there.failure() is None
        assert not packed(there.metrics).exists()
        train(here.stage("k"))
        here.stage("k").tidy()
        ended(a, "k")
    refresh(hosts.store("b"))
    assert contents(there) == {
        name: raw for name, raw in contents(here.stage("k")).items() if not name.startswith("checkpoints/")
    }


def test_who_reads_sees_what_another_machine_trains(hosts):
    there = hosts.store("b")
    with hosts.running("a") as (here, a, mine):
        assert mine.take("k", None)
        begin(here.stage("k"), 4)
        a._put_state("k")
        refresh(there)
        assert not there.is_abandoned("k")
        assert there.stage("k").log.read_text() == "state 4\n"
        assert not there.stage("k").last.exists(), "whoever looks needs no state"
    refresh(there)
    assert there.is_abandoned("k")


def test_who_reads_sees_for_how_long_another_machine_is_silent(hosts):
    """By this machine's own clock, from look to look."""
    there = hosts.store("b")
    lease = module.take(hosts.remote.lease_place("k"), None)

    def silence():
        refresh(there)
        return there.stage("k").silence()

    assert silence() < DEAD_SECONDS
    mark = there.stage("k").path / ELSEWHERE
    os.utime(mark, (mark.stat().st_mtime - 7200,) * 2)
    with there.stage("k").claim():
        pass
    assert silence() > 7000, "that this machine has looked at it says nothing of the other"
    lease.beat()
    assert silence() < DEAD_SECONDS
    lease.release()
    assert silence() is None


def test_who_reads_copies_nothing_into_a_stage_that_begins_here_meanwhile(hosts, monkeypatch):
    hosts.remote.push_state(begin(hosts.store("a").stage("k"), 4), 1)
    there, copied = hosts.store("b").stage("k"), []

    def get_file(*given, original=Objects.get_file):
        copied.append(there.is_claimed())
        original(*given)

    monkeypatch.setattr(Objects, "get_file", get_file)
    with there.claim():
        refresh(hosts.store("b"))
        assert copied == []
    refresh(hosts.store("b"))
    assert set(copied) == {True}
    assert there.log.read_text() == "state 4\n"


def away(*_):
    raise OSError(5, "the network is down")
