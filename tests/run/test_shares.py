"""Several sweeps on one cluster: how far each may go, played second by second on a cluster of so many GPUs."""

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run import shares
from mfsweep.run.shares import ALONE, OWED_SECONDS, SILENT_SECONDS, FairShare, Ledger, level_of

parts = st.lists(st.integers(0, 300).map(lambda percent: percent / 100), min_size=1, max_size=6)


@given(parts)
def test_all_is_used_and_none_has_more_than_another_that_wants_more(wants):
    level = level_of(wants)
    given_ = [min(want, level) for want in wants]
    assert sum(given_) <= 1 + 1e-9
    assert abs(sum(given_) - min(1.0, sum(wants))) < 1e-9


class Played:
    """A sweep with stages of one kind that never end to come.

    Args:
        gpus: of a stage.
        seconds: of a stage.
        groups: stages at a time at most.
        comes: when it begins.
    """

    def __init__(self, gpus, seconds, groups=1000, comes=0):
        self.gpus, self.seconds, self.groups, self.comes = gpus, seconds, groups, comes
        self.ends, self.waiting, self.served = [], 0, 0.0

    @property
    def out(self):
        return len(self.ends) + self.waiting


def play(sweeps, gpus, until, since=0):
    """Play; the first sweep is always the quickest to ask, and keeps the places of its stages that end if it may."""
    now, free = 0, gpus
    ledger = Ledger(lambda: float(now))
    for now in range(until):
        here = [sweep for sweep in sweeps if sweep.comes <= now]
        for sweep in here:
            free += sweep.gpus * sum(end <= now for end in sweep.ends)
            sweep.ends = [end for end in sweep.ends if end > now]
        for sweep in here:
            held = sweep.gpus * len(sweep.ends) / gpus
            sweep.served += held * gpus if now >= since else 0
            more = 1000 if sweep.out < sweep.groups else 0
            allotment = ledger.tell(str(id(sweep)), held, (sweep.out + more) * sweep.gpus / gpus)
            while sweep.out < sweep.groups and (sweep.out + 1) * sweep.gpus <= gpus:
                if not allotment.allows(sweep.out * sweep.gpus / gpus, (sweep.out + 1) * sweep.gpus / gpus):
                    break
                sweep.waiting += 1
            while sweep.waiting and sweep.gpus <= free:
                sweep.waiting -= 1
                free -= sweep.gpus
                sweep.ends.append(now + sweep.seconds)
    seconds = until - since
    return [sweep.served / seconds / gpus for sweep in sweeps]


def test_one_sweep_alone_uses_all():
    assert play([Played(1, 10)], 8, 1000)[0] == 0.9, "a second in ten goes by before the next stage"


def test_sweeps_of_small_stages_have_equal_shares():
    found = play([Played(1, 10), Played(1, 17), Played(1, 31)], 8, 6000)
    assert sum(found) > 0.9
    assert max(found) - min(found) < 0.05


def test_where_there_is_place_for_one_stage_sweeps_take_turns():
    found = play([Played(4, 30), Played(4, 90)], 4, 9000)
    assert sum(found) > 0.9
    assert max(found) - min(found) < 0.1


def test_one_that_comes_later_has_its_share_from_then_on_and_no_more():
    found = play([Played(1, 20), Played(1, 20, comes=5000)], 4, 8000, since=5100)
    assert max(found) - min(found) < 0.05
    assert sum(found) > 0.9


def test_what_one_does_not_want_the_others_have():
    few, many = play([Played(1, 20, groups=1), Played(1, 20)], 8, 4000)
    assert few > 0.9 / 8
    assert many > 0.94 * 7 / 8


def test_one_that_needs_the_whole_cluster_is_not_starved_by_one_that_needs_little():
    large, small = play([Played(8, 60), Played(1, 45)], 8, 20000)
    assert large > 0.25
    assert small > 0.25
    assert play([Played(1, 45), Played(8, 60)], 8, 20000)[1] > 0.25


def test_a_sweep_that_is_silent_is_forgotten_and_one_that_leaves_too():
    now = [0.0]
    ledger = Ledger(lambda: now[0])
    assert ledger.tell("a", 1.0, 2.0).level == 1.0
    assert ledger.tell("b", 0.0, 2.0).level == 0.5
    now[0] = OWED_SECONDS + 1
    assert ledger.tell("a", 1.0, 2.0) == (0.5, False, True)
    now[0] = SILENT_SECONDS + 1
    assert ledger.tell("a", 1.0, 2.0).level == 1.0
    ledger.tell("b", 0.0, 2.0)
    ledger.leave("b")
    assert ledger.tell("a", 1.0, 2.0).level == 1.0
    assert ALONE.allows(5.0, 6.0)


def told(share, holds, wants):
    """Tell once, and wait for the answer."""
    share.tell(lambda: (holds, wants))
    ray.get(share._answer)
    share.tell(lambda: (holds, wants))
    return share.allotment.level


@pytest.mark.cluster
def test_sweeps_find_each_other_on_a_cluster_and_survive_the_one_that_made_the_actor(ray_cluster, monkeypatch):
    monkeypatch.setattr(shares, "TELL_SECONDS", -1.0)
    first, second = FairShare(), FairShare()
    assert told(first, 0.0, 2.0) == 1.0
    assert told(second, 0.0, 2.0) == 0.5
    assert told(first, 0.0, 2.0) == 0.5
    second.leave()
    assert told(first, 0.0, 2.0) == 1.0
    ray.kill(first._actor)
    first.tell(lambda: (0.0, 2.0))
    for _ in range(100):
        if first._actor is None:
            break
        first.tell(lambda: (0.0, 2.0))
    assert first.allotment == ALONE
    assert told(first, 0.0, 2.0) == 1.0
    ray.kill(first._actor)
