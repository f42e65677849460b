"""Which rank is said to hang: of ranks that are played, by their pulses alone."""

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import GetTimeoutError, RayActorError

from mfsweep.run import hung
from mfsweep.run.hung import LONGEST_LOOK, Heart, Pulse, Watch

LIMIT = 10
"""Seconds; the played watch looks once a second."""
SIZES = st.integers(2, 5)


class Ranks:
    """A group in which no rank is more than one collective ahead of another, as collectives have it."""

    def __init__(self, size):
        self.pulses = {rank: Pulse(1, 0) for rank in range(size)}

    def beat(self, *ranks):
        for rank in ranks:
            self.pulses[rank] = self.pulses[rank]._replace(beats=self.pulses[rank].beats + 1)

    def move(self, *ranks):
        lowest = min(pulse.entered for pulse in self.pulses.values())
        for rank in ranks:
            if self.pulses[rank].entered == lowest:
                self.pulses[rank] = self.pulses[rank]._replace(entered=lowest + 1)


@given(SIZES, st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=60))
def test_ranks_that_move_within_the_limit_are_never_blamed(size, moves):
    ranks, watch, still = Ranks(size), Watch(LIMIT), dict.fromkeys(range(size), 0)
    for moving in moves:
        late = {rank for rank in still if still[rank] >= LIMIT - 2}
        now = {rank for rank in moving if rank < size} | late
        ranks.beat(*now)
        ranks.move(*now)
        still = {rank: 0 if rank in now else seconds + 1 for rank, seconds in still.items()}
        assert watch.look(ranks.pulses, 1) == {}


@given(SIZES, st.data(), st.booleans(), st.integers(1, 20))
def test_a_rank_that_hangs_is_blamed_alone_and_in_time(size, data, beats, before):
    hung = data.draw(st.integers(0, size - 1))
    ranks, watch, everyone = Ranks(size), Watch(LIMIT), range(size)
    others = [rank for rank in everyone if rank != hung]
    for _ in range(before):
        ranks.beat(*everyone)
        ranks.move(*everyone)
        assert watch.look(ranks.pulses, 1) == {}
    for _ in range(LIMIT - 1):
        ranks.beat(*(everyone if beats else others))
        ranks.move(*others)
        assert watch.look(ranks.pulses, 1) == {}
    ranks.beat(*(everyone if beats else others))
    found = watch.look(ranks.pulses, 1)
    assert list(found) == [hung]
    assert ("waited for it for 10 s" in found[hung]) is beats


@given(SIZES, st.floats(LONGEST_LOOK, 1e6))
def test_a_watch_that_was_held_up_blames_nobody(size, seconds):
    ranks, watch = Ranks(size), Watch(LIMIT)
    watch.look(ranks.pulses, 1)
    ranks.move(0)
    for _ in range(int(LIMIT / LONGEST_LOOK) - 1):
        assert watch.look(ranks.pulses, seconds) == {}
        ranks.beat(*range(size))


def test_all_ranks_that_compute_for_long_are_left_alone():
    ranks, watch = Ranks(3), Watch(LIMIT)
    for _ in range(20 * LIMIT):
        ranks.beat(0, 1, 2)
        assert watch.look(ranks.pulses, 1) == {}


def test_one_that_has_ended_its_job_is_not_missed():
    ranks, watch = Ranks(2), Watch(LIMIT)
    for _ in range(5 * LIMIT):
        ranks.beat(0)
        assert watch.look({0: ranks.pulses[0]}, 1) == {}, "rank 0 evaluates alone"


def test_a_heart_beats_until_it_ends_and_counts_collectives(monkeypatch):
    said, beaten = [], threading.Event()

    def answered(answer, timeout):
        assert timeout == 0, "a mailbox that is slow holds no beat up"
        return answer

    monkeypatch.setattr(hung, "ray", SimpleNamespace(get=answered))

    class Beat:
        @staticmethod
        def remote(rank, pulse):
            said.append((rank, pulse))
            if len(said) > 3 and pulse.entered:
                beaten.set()
            return len(said) == 2  # once is enough

    class Mailbox:
        beat = Beat

    with Heart(Mailbox, 1, 0.01) as heart:  # however many beats pass before the collective
        heart.enter()
        assert beaten.wait(10)
        assert heart.is_leaving()
    beats = len(said)
    assert [pulse.beats for _, pulse in said] == list(range(1, beats + 1))
    assert {rank for rank, _ in said} == {1}
    assert said[-1][1].entered == 1
    assert not heart._thread.is_alive()


@pytest.mark.parametrize("error", [GetTimeoutError(), RayActorError()])
def test_a_mailbox_that_does_not_answer_asks_for_nothing(monkeypatch, error):
    def refuse(answer, timeout):
        raise error

    monkeypatch.setattr(hung, "ray", SimpleNamespace(get=refuse))
    heart = Heart(None, 0, 1.0)
    assert not heart._answered("answer")
    monkeypatch.setattr(hung, "ray", SimpleNamespace(get=lambda answer, timeout: answer))  # noqa: ARG005
    assert heart._answered(True)
