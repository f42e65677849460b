"""Which worker group stays for the next stage, and for how long."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run import worker_group
from mfsweep.run.worker_group import MOST_STAGES, KeptGroup
from mfsweep.spec.resources import Resources

KINDS = [
    (Resources(workers=2), None, "scratch"),
    (Resources(workers=2), "overlay", "scratch"),
    (Resources(), None, "x"),
]


class Stayed:
    """Stands for a worker group that has performed some stages."""

    def __init__(self, kind=KINDS[0], stages=1, *, is_alive=True):
        self.kind, self.stages, self.is_alive = kind, stages, is_alive
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.booleans(), st.sampled_from([1, MOST_STAGES]))
def test_only_a_living_group_of_the_same_kind_that_has_not_done_enough_is_used_again(kind, asked, is_alive, stages):
    kept, group = KeptGroup(), Stayed(kind, stages, is_alive=is_alive)
    kept.keep(group)
    taken = kept.take(*asked)
    fits = is_alive and kind == asked and stages < MOST_STAGES
    assert taken is (group if fits else None)
    assert group.closed.is_set() is not fits, "every other group has gone home"
    assert kept.take(*kind) is None, "nobody else has it"


def test_a_group_for_which_nothing_comes_goes_home(monkeypatch):
    monkeypatch.setattr(worker_group, "IDLE_SECONDS", 0.01)
    kept, group = KeptGroup(), Stayed()
    kept.keep(group)
    assert group.closed.wait(10)
    assert kept.take(*group.kind) is None


def test_a_group_that_was_taken_does_not_go_home_while_it_works(monkeypatch):
    timers = []

    class Timer:
        def __init__(self, _seconds, act):
            self.act = act
            timers.append(self)

        def start(self):
            pass

        def cancel(self):
            self.act = None

    monkeypatch.setattr(worker_group.threading, "Timer", Timer)
    kept, group = KeptGroup(), Stayed()
    kept.keep(group)
    assert kept.take(*group.kind) is group
    assert [timer.act for timer in timers] == [None]
    assert not group.closed.is_set()


@pytest.mark.parametrize("late", [False, True])
def test_a_timer_that_goes_off_too_late_sends_no_other_group_home(late):
    kept, first, second = KeptGroup(), Stayed(), Stayed()
    kept.keep(first)
    kept.take(*first.kind)
    if late:
        kept._send_home()
    kept.keep(second)
    assert not first.closed.is_set()
    assert kept.take(*second.kind) is second
