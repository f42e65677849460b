"""Leases on a folder, by hosts that are played: each with its own clock, none with a lock that the others would see."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mfsweep.files import CLAIM, claimed, has_locks
from mfsweep.store import StageFolder, lease, lease_place
from mfsweep.store.lease import (
    BEAT_SECONDS,
    DEAD_SECONDS,
    LONGEST_LOOK,
    LOOK_SECONDS,
    Observer,
    holding,
    is_held,
    read,
    take,
)
from mfsweep.store.lease_place import FolderPlace

HOSTS = st.integers(0, 3)
PATIENCE = 9.0
BEAT = 3.0
LONGEST = 2 * BEAT
"""What counts between two looks, at most: with the beat that was to come less than the patience."""
TICK = 1 / 8
"""What times here are multiples of, so that they add up exactly, whatever a host's clock shows."""


class Host:
    """A machine that wants the folder: its clock starts anywhere and runs as fast as all others."""

    def __init__(self, number, now):
        self.clock = 1e6 * number - now
        self.lease = None
        self.is_stopped = False
        self.beaten = now
        self.sign = None
        """What it saw when it looked last, which may be long ago."""


class Leases(RuleBasedStateMachine):
    """Hosts that look, take, beat, stop, go on, die and give back, in any order."""

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(lease_place, "has_locks", lambda _: False)
        self.folder = Path(self._folder.name)
        self.now = 0.0
        self.hosts = [Host(number, 0.0) for number in range(4)]
        self.observers = [Observer(self.clock_of(host), PATIENCE, LONGEST) for host in self.hosts]
        self.taken = 0

    def clock_of(self, host):
        return lambda: self.now + host.clock

    def teardown(self):
        self._patch.undo()
        self._folder.cleanup()

    @property
    def living(self):
        return [host for host in self.hosts if host.lease and not host.is_stopped]

    @rule(ticks=st.integers(1, int(BEAT / TICK)))
    def time_passes(self, ticks):
        """Let time pass: whoever lives beats in time."""
        self.now += ticks * TICK
        for host in self.living:
            if self.now - host.beaten >= BEAT:
                host.lease.beat()
                host.beaten = self.now

    @rule(ticks=st.integers(1, int(9 * PATIENCE / TICK)), number=HOSTS)
    def storage_is_away(self, ticks, number):
        """Let time pass in which nobody can look or beat; one host looks first when it is back."""
        self.now += ticks * TICK
        self.look(number)
        for host in self.living:
            host.lease.beat()
            host.beaten = self.now

    @rule(number=HOSTS)
    def look(self, number):
        if not self.hosts[number].is_stopped:
            before = self.living_owner()
            held = self.observers[number].is_held(self.folder)
            self.hosts[number].sign = read(self.folder)
            if before:
                assert held, "who beats as soon as it can is never taken for dead"

    @rule(number=HOSTS)
    def take_what_was_seen(self, number):
        """Take the lease after the one that was seen last, which others may have followed since."""
        host = self.hosts[number]
        sign = host.sign
        if host.is_stopped or host.lease or (sign and not sign.is_free):
            return
        host.lease = take(self.folder, sign)
        host.beaten = self.now

    @rule(number=HOSTS)
    def stop(self, number):
        self.hosts[number].is_stopped = True

    @rule(number=HOSTS)
    def go_on(self, number):
        host = self.hosts[number]
        host.is_stopped = False
        if host.lease and host.lease.is_lost():
            host.lease = None

    @rule(number=HOSTS)
    def die(self, number):
        host = self.hosts[number]
        if host.is_stopped:
            self.hosts[number] = Host(number, 0.0)

    @rule(number=HOSTS)
    def give_back(self, number):
        host = self.hosts[number]
        if host.lease and not host.is_stopped:
            host.lease.release()
            host.lease = None

    def living_owner(self):
        return next((host for host in self.living if not host.lease.is_lost()), None)

    @invariant()
    def nobody_shares(self):
        owners = [host for host in self.living if not host.lease.is_lost()]
        assert len(owners) <= 1

    @invariant()
    def few_files_stay(self):
        assert len(list(self.folder.iterdir())) <= 1 + len(self.hosts)

    @invariant()
    def a_dead_one_is_followed_in_time(self):
        """Let one host that lives look, as rarely as counts, while a lease may stay unchanged; then it has the folder."""
        if self.living_owner() or self.taken > 2:
            return
        host = next((host for host in self.hosts if not host.is_stopped and not host.lease), None)
        if host is None:
            return
        self.taken += 1
        observer = Observer(self.clock_of(host), PATIENCE, LONGEST)
        observer.is_held(self.folder)
        for seconds in (LONGEST, PATIENCE - LONGEST):
            self.now += seconds
            held = observer.is_held(self.folder)
        assert not held
        host.lease = take(self.folder, read(self.folder))
        assert host.lease
        host.beaten = self.now


Leases.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLeases = Leases.TestCase


def foreign(folder, **said):
    """Write a lease as a holder on another host would."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".lease-000004").write_text(
        json.dumps({"host": "node7", "process": 12, "boot": "other", "beats": 3} | said)
    )


def test_a_lease_of_another_host_holds_until_it_was_seen_unchanged_for_long(tmp_path):
    now = [0.0]
    observer = Observer(lambda: now[0], PATIENCE)
    foreign(tmp_path)
    with holding(tmp_path) as mine:
        assert not mine
    assert is_held(tmp_path)
    assert observer.is_held(tmp_path)
    now[0] = PATIENCE - 1
    foreign(tmp_path, beats=4)
    assert observer.is_held(tmp_path)
    now[0] += PATIENCE - 1
    assert observer.is_held(tmp_path)
    assert read(tmp_path).holder == "process 12 on node7"
    now[0] += 1
    assert not observer.is_held(tmp_path)
    with holding(tmp_path) as mine:
        assert mine
        assert not mine.is_lost()
    foreign(tmp_path)  # it was stopped for so long, and beats once more
    assert not is_held(tmp_path)


def test_of_the_time_in_which_nobody_could_look_little_counts(tmp_path):
    now = [0.0]
    observer = Observer(lambda: now[0])
    foreign(tmp_path)
    assert observer.is_held(tmp_path)
    looks = 0
    while observer.is_held(tmp_path):
        now[0] += 1e6
        looks += 1
    assert (looks - 1) * LONGEST_LOOK < DEAD_SECONDS <= looks * LONGEST_LOOK
    assert 60 + BEAT_SECONDS + LONGEST_LOOK <= DEAD_SECONDS, "a beat that is shown a minute late is in time after it"


def test_of_leases_that_are_watched_the_dead_are_told_in_time_and_nothing_is_written(tmp_path):
    now, folders = [0.0], [tmp_path / name for name in ("dead", "living", "given back")]
    for folder in folders:
        foreign(folder)
    _, living, back = folders

    def sleep(seconds):
        now[0] += seconds
        if now[0] == 30 * LOOK_SECONDS:
            foreign(living, beats=4)
        if now[0] == 20 * LOOK_SECONDS:
            foreign(back, free=True)

    before = read(tmp_path / "dead")
    places = [FolderPlace(folder) for folder in (*folders, tmp_path / "none")]
    assert Observer(lambda: now[0], sleep=sleep).watch(places) == {places[0]: before}
    assert DEAD_SECONDS <= now[0] < DEAD_SECONDS + LOOK_SECONDS
    assert [path.name for path in (tmp_path / "dead").iterdir()] == [".lease-000004"]


def test_a_holder_that_was_stopped_for_long_learns_that_it_has_lost(tmp_path):
    with holding(tmp_path) as mine:
        assert not mine.is_lost()
        assert take(tmp_path, read(tmp_path)), "another host takes it for dead"
        assert mine.is_lost()
    assert not read(tmp_path).is_free, "it gives back nothing of the other's"


def test_one_that_died_on_this_machine_is_followed_at_once_as_its_lock_is_free(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=hold_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not read(tmp_path).is_free
    assert not is_held(tmp_path)
    with holding(tmp_path) as mine:
        assert mine


def test_one_that_died_on_the_machine_of_who_looks_is_followed_from_any_other(tmp_path, monkeypatch):
    """The look tells at once that it is over, which nobody else can: so the look ends it."""
    take(tmp_path, None).beat()
    (tmp_path / CLAIM).touch()
    with monkeypatch.context() as there:
        there.setattr(lease, "boot", lambda: "there")
        there.setattr(lease_place, "boot", lambda: "there")
        with holding(tmp_path) as mine:
            assert not mine, "it cannot know"
    before = sorted(tmp_path.iterdir())
    assert not is_held(tmp_path)
    assert sorted(tmp_path.iterdir()) == before, "who only reads ends nothing"
    assert not Observer().is_held(tmp_path)
    with monkeypatch.context() as there:
        there.setattr(lease, "boot", lambda: "there")
        there.setattr(lease_place, "boot", lambda: "there")
        with holding(tmp_path) as mine:
            assert mine


def test_one_of_this_machine_that_has_mounted_the_storage_for_itself_is_waited_for(tmp_path):
    """As in two containers: neither sees the other's lock. On real mounts: test_network_file_system.py."""
    (tmp_path / CLAIM).touch()
    said = {"boot": lease_place.boot(), "device": str(tmp_path.stat().st_dev + 1)}
    foreign(tmp_path, **said)
    assert is_held(tmp_path)
    with holding(tmp_path) as mine:
        assert not mine
    foreign(tmp_path, **said | {"device": str(tmp_path.stat().st_dev)})
    assert not is_held(tmp_path)


@pytest.mark.parametrize("when", ["before the lock is looked at", "after that"])
@pytest.mark.parametrize("left", ["nothing", "a lease of one that died", "one that was given back"])
def test_a_look_ends_nothing_of_who_begins_meanwhile(tmp_path, monkeypatch, when, left):
    if left != "nothing":
        take(tmp_path, None, free=left == "one that was given back")
    (tmp_path / CLAIM).touch()
    is_locked = FolderPlace.is_locked
    with contextlib.ExitStack() as stack:
        run = []

        def look(place):
            if when == "after that":
                found = is_locked(place)
                run.append(stack.enter_context(holding(tmp_path)))
                return found
            run.append(stack.enter_context(holding(tmp_path)))
            return is_locked(place)

        monkeypatch.setattr(FolderPlace, "is_locked", look)
        Observer().is_held(tmp_path)
        assert not run[0].is_lost()


@given(
    late=st.integers(0, 100),
    near=st.booleans(),
    ago=st.sampled_from([0.0, DEAD_SECONDS, 3 * DEAD_SECONDS]),
    waits=st.booleans(),
    cut=st.booleans(),
)
def test_who_follows_from_elsewhere_waits_until_it_sees_what_was_left_lately(late, near, ago, waits, cut):
    """As long as old views of a file system live; here the view becomes the present one at the look `late`."""
    left, old, looks = {"record.json": [7, 1]}, {}, []
    most = int(DEAD_SECONDS / LOOK_SECONDS) - 1

    def leaves():
        return left if len(looks) >= late else old

    def sleep(seconds):
        looks.append(seconds)
        if cut and len(looks) == 2:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(lease.time, "sleep", sleep)
        with holding(folder, lambda: left) as first:
            path = FolderPlace(folder).path(first.number)
        os.utime(path, (path.stat().st_mtime - ago,) * 2)
        if not near:
            patch.setattr(lease_place, "boot", lambda: "there")
            patch.setattr(lease, "boot", lambda: "there")
        unsure = not near and ago < 2 * DEAD_SECONDS and late > 0
        is_cut = unsure and waits and cut and late > 1
        with contextlib.suppress(KeyboardInterrupt), holding(folder, leaves, waits=waits) as second:
            assert second
            assert not is_cut
            assert len(looks) == (min(late, most) if unsure and waits else 0)
        told = read(folder)
        assert told.is_free
        assert told.saw == (not unsure or (waits and not is_cut))
        assert told.left == (leaves() if told.saw else left), (
            "what the first has left, as long as the second saw it not"
        )


@pytest.mark.parametrize("how", ["it cannot be listed", "another host writes it"])
def test_a_lease_is_given_back_also_by_who_cannot_say_what_is_left(tmp_path, how):
    def leaves():
        raise OSError(5, "Input/output error")

    with holding(tmp_path, leaves) as mine:
        if how == "another host writes it":
            mine.leave_unsaid()
    assert read(tmp_path).is_free
    assert read(tmp_path).left is None


def hold_and_die(folder):
    with holding(folder):
        os._exit(9)


def test_without_locks_one_that_died_on_this_machine_is_waited_for_as_any_other(tmp_path, monkeypatch):
    def unlocked(*_):
        raise OSError(38, "Function not implemented")

    assert has_locks(tmp_path / CLAIM)
    monkeypatch.setattr(fcntl, "flock", unlocked)
    assert not has_locks(tmp_path / CLAIM)
    first = take(tmp_path, None)
    first.beat()
    with claimed(tmp_path) as locked, holding(tmp_path) as mine:
        assert locked, "everyone has the lock"
        assert not mine
    now = [0.0]
    observer = Observer(lambda: now[0], PATIENCE)
    assert observer.is_held(tmp_path)
    now[0] = PATIENCE
    assert not observer.is_held(tmp_path)
    with holding(tmp_path) as mine:
        assert mine
        assert first.is_lost()
        with holding(tmp_path) as other:
            assert not other


def test_it_beats_while_it_is_held_and_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    folder = StageFolder(tmp_path / "stage")
    with folder.claim() as mine:
        assert mine
        first, deadline = read(folder.path), time.monotonic() + 10
        while read(folder.path) == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read(folder.path) != first
        with folder.claim() as other:
            assert not other
    assert read(folder.path).is_free
    assert not folder.is_claimed()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"free": tr'])
def test_a_lease_that_is_half_written_is_somebodys(tmp_path, content):
    (tmp_path / ".lease-000001").write_bytes(content)
    assert is_held(tmp_path)
    with contextlib.ExitStack() as stack:
        assert not stack.enter_context(holding(tmp_path))
