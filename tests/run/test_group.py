"""What is said of lost workers, and which of them count as failures; the groups are played, the trial's part is real."""

import json
import sys
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from mfsweep.errors import TrainingError
from mfsweep.run import group, lost
from mfsweep.run.leaving import Notice
from mfsweep.store import StageFolder

DIED = WorkerHealthCheckFailedError("A worker health check failed.", ActorDiedError())


class Played:
    """Stands for a worker group: ends as the script says."""

    script: list
    away: set
    nodes: lost.Nodes = MappingProxyType({rank: (f"node-{rank}", f"host-{rank}") for rank in range(2)})

    def __init__(self, *_kind):
        self._end = self.script.pop(0)
        self.step = self._end.get("step")
        self.hung = self._end.get("hung", "")
        self.leaving = self._end.get("leaving")

    def perform(self, _job, begun, _is_lost):
        begun()
        type(self).away = self._end.get("gone", set())
        return self._end.get("error")

    def close(self):
        pass


def follow(patch, script, report):
    patch.setattr(Played, "script", list(script), raising=False)
    patch.setattr(group, "WorkerGroup", Played)
    patch.setattr(lost, "NODE_SECONDS", 0)
    patch.setattr(lost, "POLL_SECONDS", 0)
    patch.setattr(lost, "is_gone", lambda node: node in Played.away)
    patch.setattr(group.tune, "report", report)


def stage_in(folder, max_failures):
    resources = SimpleNamespace(max_failures=max_failures, workers=2, keep_workers=False)
    return SimpleNamespace(folder=folder, resources=resources, overlay=None, is_over=lambda: False)


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Give a function that performs a stage in played groups; it returns the folder and what was reported."""

    def run(*ends, max_failures=2, name="stage"):
        reported, begun = [], []
        follow(monkeypatch, ends, reported.append)
        folder = StageFolder(tmp_path / name)
        job = stage_in(folder, max_failures)
        run.done = group.perform_in_group(job, str(tmp_path), lambda: begun.append(1), lambda: False)
        assert len(begun) == len(ends)
        return folder, reported

    return run


def of(**failures):
    return WorkerGroupError("words", {int(rank[1:]): failure for rank, failure in failures.items()})


def test_failures_count_from_the_last_validation(play):
    lost = {"error": of(r0=DIED)}
    validated = {"error": of(r0=DIED), "step": 10}
    play(lost, lost, validated, lost, validated, lost, {}, name="goes-on")
    assert play.done
    with pytest.raises(
        TrainingError, match="failed 3 times without a validation in between, at last: lost rank 0 of 2 on host-0"
    ):
        play(validated, lost, lost)


def test_a_node_that_went_away_is_no_failure(play):
    gone = {"error": of(r0=DIED, r1=DIED), "gone": {"node-0", "node-1"}}
    folder, reported = play(*[gone] * 5, {}, max_failures=0)
    assert [one.what for one in folder.interruptions()] == [
        "lost the node host-0 with rank 0 and host-1 with rank 1"
    ] * 5
    assert [result[group.LOST] for result in reported] == [
        "lost the node host-0 with rank 0 and host-1 with rank 1"
    ] * 5
    assert folder.log.read_text().count("not counted as a failure") == 5


def noticed(*, going=None, is_end=False):
    notice = Notice(dict, "scratch")
    notice.going, notice.is_end = going or {}, is_end
    return notice


def test_a_node_that_is_about_to_go_is_left_and_no_failure(play):
    leaves = {"leaving": noticed(going={"host-0": [0], "host-1": [1, 2]}), "step": 7}
    folder, reported = play(*[leaves] * 4, {}, max_failures=0)
    why = "the node host-0 with rank 0 and host-1 with rank 1, 2 is about to go; its state is saved"
    assert [(one.what, one.step) for one in folder.interruptions()] == [(why, 7)] * 4
    assert reported == [{group.LOST: why}] * 4
    assert folder.log.read_text().count("starts again from its last checkpoint (not counted as a failure)") == 4


def test_a_stage_that_is_over_or_ends_with_its_run_starts_no_other_group(play, monkeypatch):
    ends = {"leaving": noticed(going={"host-0": [0]}, is_end=True)}
    folder, reported = play(ends)
    assert (folder.interruptions(), reported) == ([], [])
    assert not play.done
    monkeypatch.setattr(
        sys.modules[__name__], "stage_in", lambda *own, made=stage_in: vary(made(*own), is_over=lambda: True)
    )
    folder, reported = play({"leaving": noticed(going={"host-0": [0]})}, name="over")
    assert (folder.interruptions(), reported) == ([], [])
    assert play.done


def vary(space, **fields):
    return SimpleNamespace(**{**vars(space), **fields})


def test_a_rank_that_was_ended_because_it_hung_is_named_with_the_reason_and_counts(play):
    hung = "rank 1 of 2 on host-1 hung: the other ranks waited for it for 120 s (resources.hung_after_s)"
    folder, reported = play({"error": of(r1=DIED), "hung": hung}, {}, max_failures=1)
    assert [one.what for one in folder.interruptions()] == [hung]
    assert reported == [{group.LOST: hung}]
    assert f"{hung}; the group starts again from its last checkpoint (failure 1 since" in folder.log.read_text()
    gone, _ = play({"error": of(r1=DIED), "hung": hung, "gone": {"node-1"}}, {}, max_failures=0, name="gone")
    assert [one.what for one in gone.interruptions()] == ["lost the node host-1 with rank 1"]


@settings(deadline=None)  # it writes files
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.integers(0, 3))
def test_it_is_given_up_just_when_so_many_failures_came_in_a_row(play_once, ends, most):
    in_a_row = fails = 0
    for validated, gone in ends:
        in_a_row = 0 if validated else in_a_row
        in_a_row += not gone
        if in_a_row > most:
            fails = True
            break
    script = [
        {"error": of(r1=DIED), "step": 5 if validated else None, "gone": {"node-1"} if gone else set()}
        for validated, gone in ends
    ]
    assert play_once([*script, {}], most) is not bool(fails)


@pytest.fixture(scope="module")
def play_once(tmp_path_factory):
    def run(script, most):
        with pytest.MonkeyPatch.context() as patch:
            follow(patch, script, lambda _: None)
            folder = StageFolder(tmp_path_factory.mktemp("stage"))
            job = stage_in(folder, most)
            try:
                group.perform_in_group(job, "", lambda: None, lambda: False)
            except TrainingError:
                return False
            return True

    return run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            of(r0=RuntimeError("Connection reset by peer"), r1=DIED),
            "lost rank 1 of 2 on host-1: The actor died unexpectedly before finishing this task.",
        ),
        (of(r0=ValueError("one\n\ntwo\n")), "lost rank 0 of 2 on host-0: two"),
        (ControllerError(OSError("no space")), "lost the worker group: no space"),
    ],
)
def test_the_rank_that_died_is_named_and_not_those_that_waited_for_it(error, said, play, tmp_path):
    folder, _ = play({"error": error}, {}, name="named")
    (interruption,) = folder.interruptions()
    assert interruption.what == said


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path):
    folder = StageFolder(tmp_path)
    (tmp_path / "interruptions.jsonl").write_bytes(
        json.dumps({"time": 1.0, "step": None, "what": "first"}).encode() + b'\n{"time": 2.0, "st\n\xff\xfe\n'
    )
    assert [one.what for one in folder.interruptions()] == ["first"]


@pytest.mark.parametrize(
    ("error", "waits"),
    [(ActorUnavailableError("connection reset", None), True), (ActorDiedError(), False)],
    ids=["out of reach", "dead"],
)
def test_a_node_is_waited_for_where_nobody_knows_what_became_of_it(monkeypatch, error, waits):
    looks, words = [], []
    monkeypatch.setattr(lost, "NODE_SECONDS", 0)
    monkeypatch.setattr(lost, "WORD_SECONDS", 0)
    monkeypatch.setattr(lost, "POLL_SECONDS", 0)
    monkeypatch.setattr(lost.tune, "report", words.append)
    monkeypatch.setattr(lost, "is_gone", lambda _node: looks.append(1) or len(looks) > 4)
    failure = of(r0=WorkerHealthCheckFailedError("A worker health check failed.", error))
    found = lost.lost_nodes(failure, {0: ("node", "host")})
    assert found == ({"host": [0]} if waits else {})
    assert bool(words) is waits, "a stop is heard meanwhile"
