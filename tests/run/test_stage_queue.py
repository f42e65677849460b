from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial

from mfsweep.run import supply as supplies
from mfsweep.run import withheld
from mfsweep.run.growing import NotNow
from mfsweep.run.shapes import StageShape
from mfsweep.run.stage_queue import StageQueue
from mfsweep.run.stage_status import CLAIMED, ENDED, FAILURE, GIVEN_UP, PERFORMED, Status
from mfsweep.store.lease import DEAD_SECONDS


class FakeTrials(StageQueue):
    """The queue with trials that only carry a status."""

    def _trial(self, key):
        return SimpleNamespace(
            config={"key": key, **self._config(key)},
            status=Trial.TERMINATED,
            last_result={ENDED: True},
            finished=False,
            is_finished=lambda: self.trials[key].finished,
        )


class Slots:
    """Room for so many stages at a time, of which so many have begun."""

    patience = float("inf")

    def __init__(self, at_a_time):
        self.at_a_time = at_a_time

    def admits(self, _, out, begun):
        return sum(out.values()) < self.at_a_time(begun)

    def serves(self, _):
        return True

    def has_turn(self, *_):
        return True

    def tell(self, *_):
        pass


def queue(
    parents,
    done=(),
    slots=2,
    supply=None,
    config=lambda _: {},
    claimed=(),
    room=None,
    spared=(),
    take=lambda _: True,
    seconds=lambda _: 1.0,
):
    records = done if isinstance(done, set) else set(done)
    resources = PlacementGroupFactory([{"CPU": 1}])
    made = FakeTrials(
        parents,
        config,
        lambda _: resources,
        lambda _: StageShape(1, (("CPU", 1.0),)),
        Slots(room or (lambda _: slots)),
        records.__contains__,
        lambda key: key in claimed,
        lambda _: 0,
        supply,
        lambda key: key in spared,
        take,
        seconds,
    )
    return made, records


@st.composite
def forests(draw):
    size = draw(st.integers(1, 25))
    return {str(i): draw(st.sampled_from([None, *map(str, range(i))])) for i in range(size)}


@settings(deadline=None)  # of a machine with other work
@given(forests(), st.integers(1, 5), st.sets(st.integers(0, 24)), st.randoms())
def test_every_stage_ends_once_and_never_before_its_parent(parents, slots, bad, random):
    made, records = queue(parents, slots=slots)
    out, order = [], []
    while not made.is_finished() or out:
        while (trial := made.next_trial()) is not None:
            key = made.key_of(trial)
            assert parents[key] is None or parents[key] in records
            out.append(trial)
        assert 0 < len(out) <= slots, "a queue that is not finished has something out, or it would wait for ever"
        trial = out.pop(random.randrange(len(out)))
        key = made.key_of(trial)
        order.append(key)
        if int(key) not in bad:
            records.add(key)
        trial.finished = True
    ended = made.take_ended()
    assert made.is_complete
    assert len(order) == len(set(order))
    assert sorted(ended) == sorted(parents)
    for key, parent in parents.items():
        above = made.status[parent] if parent else Status.DONE
        if above is not Status.DONE:
            assert made.status[key] is Status.SKIPPED
        else:
            assert made.status[key] is (Status.FAILED if int(key) in bad else Status.DONE)


class ClaimedByOthers:
    """The stages that another run has taken."""

    def __init__(self, owners, me):
        self.owners, self.me = owners, me

    def __contains__(self, key):
        return self.owners.get(key, self.me) != self.me


@given(forests(), st.integers(1, 4), st.randoms())
def test_runs_that_take_stages_before_they_hand_them_out_train_each_once_between_them(parents, slots, random):
    records, owners, out, trained = set(), {}, [], []

    def taker(me):
        return lambda key: key not in records and owners.setdefault(key, me) == me

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(withheld, "LOOK_SECONDS", -1.0)
        runs = [
            queue(parents, records, slots, claimed=ClaimedByOthers(owners, me), take=taker(me))[0] for me in range(3)
        ]
        for _ in range(10 * len(parents)):
            turns = random.sample(runs, len(runs))  # none is left without a turn for ever
            out.extend(trial for run in turns if (trial := run.next_trial()) is not None)
            if out:
                trial = out.pop(random.randrange(len(out)))
                key = trial.config["key"]
                trained.append(key)
                records.add(key)
                del owners[key]
                trial.finished = True
        assert all(run.is_finished() for run in runs)
    assert all(run.is_complete for run in runs)
    assert sorted(trained) == sorted(parents)


def test_what_has_a_record_is_never_handed_out():
    made, _ = queue({"a": None, "b": "a", "c": "a"}, done=["a", "b"])
    assert made.key_of(made.next_trial()) == "c"
    assert made.next_trial() is None
    assert made.status == {"a": Status.REUSED, "b": Status.REUSED, "c": Status.RUNNING}


def test_a_lost_parent_is_trained_again_only_for_a_child_that_lacks_its_record():
    made, _ = queue({"a": None, "b": "a"}, done=["b"])
    assert made.key_of(made.next_trial()) == "a"
    assert made.status["b"] is Status.REUSED


@settings(deadline=None)  # of a machine with other work
@given(forests(), st.lists(st.floats(0.1, 100), min_size=25, max_size=25))
def test_the_chain_that_takes_longest_goes_first(parents, seconds):
    """By what its stages are expected to take: a long one goes before two short ones in a chain."""
    made, records = queue(parents, slots=1, seconds=lambda key: seconds[int(key)])

    def chain(key):
        return seconds[int(key)] + max((chain(child) for child, parent in parents.items() if parent == key), default=0)

    while (trial := made.next_trial()) is not None:
        key = made.key_of(trial)
        ready = [one for one, parent in parents.items() if one not in records and (not parent or parent in records)]
        assert chain(key) >= max(map(chain, ready)) - 1e-9
        records.add(key)
        trial.finished = True
    assert len(records) == len(parents)


def test_the_longest_chain_goes_first():
    made, _ = queue({"short": None, "long": None, "child": "long"}, slots=1)
    assert made.key_of(made.next_trial()) == "long"


def test_a_trial_that_ends_without_a_record_has_failed_even_if_tune_calls_it_well():
    made, _ = queue({"a": None, "b": "a"})
    made.next_trial().finished = True
    assert made.take_ended() == ["a", "b"]
    assert made.status == {"a": Status.FAILED, "b": Status.SKIPPED}
    assert made.is_complete


def test_a_trial_that_tune_stopped_has_not_failed():
    made, _ = queue({"a": None, "b": "a"})
    trial = made.next_trial()
    trial.last_result, trial.finished = {"step": 5}, True
    assert made.is_finished()
    assert made.status == {"a": Status.STOPPED, "b": Status.WAITING}
    assert not made.is_complete
    assert made.take_ended() == []


def test_a_large_graph_is_handed_out_in_little_time():
    import time

    parents = {str(i): None if i < 100 else str(i % 100) for i in range(10_000)}
    made, records = queue(parents, slots=8)
    begin = time.process_time()
    while not made.is_finished() or made._dispatch.out:
        while made.next_trial() is not None:
            pass
        for key in list(made._dispatch.out):
            records.add(key)
            made.trials[key].finished = True
    assert made.is_complete
    assert time.process_time() - begin < 5, "quadratic work would take minutes"


def test_a_queue_whose_supply_has_more_to_come_is_not_finished():
    told = []

    def supply(ended):
        told.extend(ended)
        return {str(i): None for i in range(min(1 + len(told), 4))}

    made, records = queue({"0": None}, supply=supply)
    for key in map(str, range(4)):
        trial = made.next_trial()
        assert made.key_of(trial) == key
        assert made.next_trial() is None
        records.add(key)
        trial.finished = True
        assert made.is_finished() is (key == "3"), "the next one is there as soon as this one has ended"
    assert made.is_complete
    assert told == ["0", "1", "2", "3"]
    assert made.take_ended() == told


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that stands still: a list with the seconds of now."""
    now = [1000.0]
    for module in (withheld, supplies):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # which stands still
@given(st.sets(st.integers(1, 30)), st.integers(1, 3), st.randoms())
def test_a_supply_that_does_not_answer_is_told_everything_later_and_nothing_twice(clock, silent, slots, random):
    calls, told = [0], []

    def supply(ended):
        calls[0] += 1
        if calls[0] in silent:
            raise NotNow
        told.extend(ended)
        return {str(i): None for i in range(min(2 + len(told), 8))}

    made, records = queue({"0": None, "1": None}, supply=supply, slots=slots)
    out = []
    while not made.is_finished() or out:
        while (trial := made.next_trial()) is not None:
            out.append(trial)
        if not out:
            clock[0] += supplies.AGAIN_SECONDS
            continue
        trial = out.pop(random.randrange(len(out)))
        records.add(made.key_of(trial))
        trial.finished = True
    assert made.is_complete
    assert sorted(told) == sorted(made.take_ended()) == list("01234567")


def test_a_supply_that_does_not_answer_is_not_asked_all_the_time_and_ends_with_the_run(clock):
    asked = []

    def supply(ended):
        asked.append(list(ended))
        raise NotNow

    made, records = queue({"a": None}, supply=supply)
    trial = made.next_trial()
    records.add("a")
    trial.finished = True
    for _ in range(5):
        assert not made.is_finished()
        assert not made.is_complete
    clock[0] += supplies.AGAIN_SECONDS
    assert not made.is_finished()
    assert asked == [["a"], ["a"]]
    made.stop()
    assert made.is_finished()
    assert not made.is_complete, "a later run goes on"


def test_what_a_supply_adds_that_is_done_already_brings_the_next():
    def supply(ended):
        return {str(i): None for i in range(1 + max(map(int, ended)) + 1)} if int(max(ended)) < 3 else {}

    made, _ = queue({"0": None}, done=["0", "1", "2"], supply=supply)
    assert made.key_of(made.next_trial()) == "3"
    assert made.status == {"0": Status.REUSED, "1": Status.REUSED, "2": Status.REUSED, "3": Status.RUNNING}


def test_what_a_supply_adds_below_a_failed_stage_is_skipped_and_said():
    heard = []

    def supply(ended):
        heard.extend(ended)
        return {"a": None, "b": "a"}

    made, _ = queue({"a": None}, supply=supply)
    made.next_trial().finished = True
    assert made.is_finished()
    assert heard == ["a", "b"]
    assert made.status == {"a": Status.FAILED, "b": Status.SKIPPED}


def test_an_interrupted_queue_asks_for_nothing_more():
    heard = []
    made, records = queue({"a": None, "b": None}, supply=lambda ended: heard.extend(ended) or {"a": None, "b": None})
    first, second = made.next_trial(), made.next_trial()
    first.last_result, first.finished = {}, True
    records.add("b")
    second.finished = True
    assert made.is_finished()
    assert not made.is_complete
    assert heard == []


def test_a_stage_of_which_a_grown_graph_asks_more_goes_out_once_more():
    asked = {"a": 1}

    def config(key):
        return {"evaluations": asked.get(key, 1)}

    def supply(ended):
        asked["a"] += "b" in ended
        return {"a": None, "b": None}

    # While it runs: it ends without what it was not told of.
    made, records = queue({"a": None, "b": None}, supply=supply, config=config)
    first, second = made.next_trial(), made.next_trial()
    records.add("b")
    second.finished = True
    assert made.is_finished()
    first.finished = True
    again = made.next_trial()
    assert again.config == {"key": "a", "evaluations": 2}
    # After its end: what it has is not all that is asked.
    records.add("a")
    again.finished = True
    assert made.is_finished()
    records.discard("a")
    made.add({"a": None, "b": None})
    assert not made.is_finished()
    assert made.key_of(made.next_trial()) == "a"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # which stands still
@given(st.lists(st.floats(0, 1.3 * DEAD_SECONDS), min_size=1, max_size=6))
def test_what_its_trial_has_seen_done_is_waited_for_until_the_store_shows_it(clock, late):
    """`late`: seconds after which the store shows each stage of a chain."""
    parents = {str(i): str(i - 1) if i else None for i in range(len(late))} | {"last": str(len(late) - 1)}
    made, records = queue(parents, slots=1)
    for key, seconds in zip(map(str, range(len(late))), late, strict=True):
        trial, began = made.next_trial(), clock[0]
        assert made.key_of(trial) == key
        trial.last_result, trial.finished = {ENDED: True, PERFORMED: True}, True
        while clock[0] - began < min(seconds, DEAD_SECONDS):
            assert made.next_trial() is None, "it holds no slot, and what comes after it is not begun"
            assert not made.is_finished()
            assert not made.is_complete
            clock[0] += 1.25 * withheld.LOOK_SECONDS
        if seconds < DEAD_SECONDS:
            records.add(key)
        clock[0] += 1.25 * withheld.LOOK_SECONDS
        if seconds >= DEAD_SECONDS:
            assert made.is_finished()
            assert made.status[key] is Status.FAILED
            assert made.status["last"] is Status.SKIPPED
            assert made.why_failed(key) == withheld.UNSEEN
            return
    assert made.key_of(made.next_trial()) == "last"
    assert {made.status[str(i)] for i in range(len(late))} == {Status.DONE}


def test_what_goes_on_beside_it_and_what_is_asked_of_it_meanwhile_is_not_waited_for(clock):
    asked = {"a": 1}
    made, records = queue({"a": None, "b": None}, slots=1, config=lambda key: {"evaluations": asked.get(key, 1)})
    trial = made.next_trial()
    trial.last_result, trial.finished = {ENDED: True, PERFORMED: True, CLAIMED: True}, True
    assert made.key_of(made.next_trial()) == "b", "its slot is free"
    made.trials["b"].finished = True
    records.add("b")
    asked["a"] = 2
    clock[0] += withheld.LOOK_SECONDS
    again = made.next_trial()
    assert again.config == {"key": "a", "evaluations": 2}
    again.last_result, again.finished = {ENDED: True, FAILURE: "the loss is not finite"}, True
    assert made.is_finished()
    assert made.is_complete
    assert made.status == {"a": Status.FAILED, "b": Status.DONE}
    assert made.why_failed("a") == "the loss is not finite"


@pytest.mark.parametrize(("claimed", "end"), [(False, Status.DONE), (True, Status.REUSED)])
def test_whose_work_it_was_is_known_also_where_it_is_seen_late(clock, claimed, end):
    made, records = queue({"a": None})
    trial = made.next_trial()
    trial.last_result, trial.finished = {ENDED: True, PERFORMED: True} | ({CLAIMED: True} if claimed else {}), True
    assert not made.is_finished()
    records.add("a")
    clock[0] += withheld.LOOK_SECONDS
    assert made.is_finished()
    assert made.status == {"a": end}
    assert made.take_ended() == ["a"]


def test_what_another_sweep_performs_is_held_back_and_then_reused_or_taken(monkeypatch):
    monkeypatch.setattr(withheld, "LOOK_SECONDS", -1.0)
    claimed = {"a", "b"}
    made, records = queue({"a": None, "b": None, "child": "a", "free": None}, claimed=claimed, slots=4)
    assert made.key_of(made.next_trial()) == "free"
    assert made.next_trial() is None
    assert made.status["a"] is made.status["b"] is Status.HELD
    assert not made.is_finished()
    records.add("a")
    claimed.clear()
    assert {made.key_of(made.next_trial()), made.key_of(made.next_trial())} == {"b", "child"}
    assert made.status["a"] is Status.REUSED, "the other sweep's record"


def test_a_trial_that_finds_the_stage_claimed_is_no_failure_and_holds_no_slot(monkeypatch):
    monkeypatch.setattr(withheld, "LOOK_SECONDS", -1.0)
    claimed = set()
    made, _ = queue({"a": None, "b": None}, claimed=claimed, slots=1)
    trial = made.next_trial()
    claimed.add("a")  # the other sweep was quicker by a moment
    trial.last_result = {ENDED: True, CLAIMED: True}
    trial.finished = True
    assert made.key_of(made.next_trial()) == "b"
    assert made.status["a"] is Status.HELD
    made.trials["b"].finished = True
    claimed.clear()
    assert made.key_of(made.next_trial()) == "a"


def test_what_is_done_meanwhile_by_another_sweep_is_not_handed_out():
    made, records = queue({"a": None, "b": "a"}, slots=2)
    records |= {"a", "b"}
    assert made.next_trial() is None
    assert made.is_complete
    assert set(made.status.values()) == {Status.REUSED}
    assert sorted(made.take_ended()) == ["a", "b"]


def test_what_another_sweep_has_done_when_a_trial_looks_counts_as_reused_and_its_own_does_not():
    made, records = queue({"a": None, "b": None})
    trials = {made.key_of(trial): trial for trial in (made.next_trial(), made.next_trial())}
    made.begin("b", "node")  # its process was lost behind the record; the next one finds that
    for trial in trials.values():
        trial.last_result, trial.finished = {ENDED: True, CLAIMED: True}, True
    records |= {"a", "b"}
    made.reconcile()
    assert made.status == {"a": Status.REUSED, "b": Status.DONE}


def test_the_room_is_asked_with_those_that_have_begun():
    made, _ = queue(dict.fromkeys("abcdef"), room=lambda begun: begun + 2)
    first, second = made.next_trial(), made.next_trial()
    assert made.next_trial() is None
    made.begin(made.key_of(first), "node")
    assert (made.begun, made.waiting.total()) == (1, 1)
    assert made.next_trial() is not None
    made.lose(made.key_of(first))
    made.begin(made.key_of(second), "node")
    assert made.next_trial() is None


def test_a_stage_that_was_given_up_is_no_failure_and_its_descendants_are_skipped():
    spared = set()
    made, _ = queue({"a": None, "b": "a", "other": None, "never begun": None}, slots=2, spared=spared)
    trial = made.next_trial()
    assert made.key_of(trial) == "a"
    spared |= {"a", "b", "never begun"}
    trial.last_result, trial.finished = {ENDED: True, GIVEN_UP: True}, True
    assert made.key_of(made.next_trial()) == "other"
    assert made.next_trial() is None
    assert made.status == {
        "a": Status.PRUNED,
        "b": Status.SKIPPED,
        "other": Status.RUNNING,
        "never begun": Status.SKIPPED,
    }
    assert set(made.take_ended()) == {"a", "b", "never begun"}
    assert all(map(made.is_given_up, ("a", "b", "never begun")))


def test_what_was_given_up_and_is_needed_once_more_is_trained_on():
    spared = {"a", "b"}
    made, records = queue({"a": None, "b": "a"}, spared=spared)
    assert made.next_trial() is None
    assert made.is_complete
    spared.clear()
    made.add({"a": None, "b": "a", "c": "b"})
    for key in "abc":
        trial = made.next_trial()
        assert made.key_of(trial) == key
        records.add(key)
        trial.finished = True
    made.reconcile()
    assert made.is_complete
    assert set(made.status.values()) == {Status.DONE}


def test_a_stage_that_was_given_up_while_something_else_came_to_need_it_is_let_out_again():
    made, records = queue({"a": None})
    trial = made.next_trial()
    trial.last_result, trial.finished = {ENDED: True, GIVEN_UP: True}, True
    again = made.next_trial()
    assert made.key_of(again) == "a"
    records.add("a")
    again.finished = True
    made.reconcile()
    assert made.status == {"a": Status.DONE}
