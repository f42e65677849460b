from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial

from mfsweep.run.stage_queue import ENDED, StageQueue, Status


class FakeTrials(StageQueue):
    """The queue with trials that only carry a status."""

    def _trial(self, key):
        return SimpleNamespace(
            config={"key": key},
            status=Trial.TERMINATED,
            last_result={ENDED: True},
            finished=False,
            is_finished=lambda: self.trials[key].finished,
        )


def queue(parents, done=(), slots=2):
    records = set(done)
    made = FakeTrials(parents, dict, PlacementGroupFactory([{"CPU": 1}]), slots, records.__contains__, 0)
    return made, records


@st.composite
def forests(draw):
    size = draw(st.integers(1, 25))
    return {str(i): draw(st.sampled_from([None, *map(str, range(i))])) for i in range(size)}


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


def test_what_has_a_record_is_never_handed_out():
    made, _ = queue({"a": None, "b": "a", "c": "a"}, done=["a", "b"])
    assert made.key_of(made.next_trial()) == "c"
    assert made.next_trial() is None
    assert made.status == {"a": Status.REUSED, "b": Status.REUSED, "c": Status.RUNNING}


def test_a_lost_parent_is_trained_again_only_for_a_child_that_lacks_its_record():
    made, _ = queue({"a": None, "b": "a"}, done=["b"])
    assert made.key_of(made.next_trial()) == "a"
    assert made.status["b"] is Status.REUSED


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
    while not made.is_finished() or made._running:
        while made.next_trial() is not None:
            pass
        for key in list(made._running):
            records.add(key)
            made.trials[key].finished = True
    assert made.is_complete
    assert time.process_time() - begin < 5, "quadratic work would take minutes"
