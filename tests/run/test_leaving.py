"""What asks a stage to save its state and to end: a node that goes, or the end of the run."""

import errno
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import RaySystemError

from mfsweep.run import leaving, stage_trial, watcher, worker_group
from mfsweep.run.leaving import Notice, Stopped
from mfsweep.run.lost import TakenOver
from mfsweep.run.mailbox import COMPLETE
from mfsweep.run.stage_status import CLAIMED
from mfsweep.run.stage_trial import is_gone
from mfsweep.run.watcher import SweepWatcher
from mfsweep.run.worker_group import WorkerGroup

NODES = {0: ("a", "host-a"), 1: ("b", "host-b"), 2: ("b", "host-b")}


class Cluster:
    """Stands for Ray's state: some of its nodes go."""

    def __init__(self, monkeypatch):
        self.going, self.error = {}, None
        monkeypatch.setattr(leaving.state, "state", self)

    def get_draining_nodes(self):
        if self.error:
            raise self.error
        return self.going


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def test_only_a_stages_own_nodes_are_its_matter(cluster, tmp_path):
    notice = Notice(lambda: NODES, tmp_path)
    cluster.going = {"another": 0}
    notice.look()
    assert not notice.came()
    cluster.going = {"another": 0, "b": 1_700_000_000_000}
    notice.look()
    assert notice.came()
    assert str(notice) == "the node host-b with rank 1, 2 is about to go"
    assert not notice.is_end


def test_a_group_that_has_no_nodes_yet_waits_on(cluster, tmp_path):
    cluster.going = {"b": 0}
    notice = Notice(dict, tmp_path)
    notice.look()
    assert not notice.came()


@pytest.mark.parametrize("error", [RaySystemError("not connected"), OSError("reset"), RuntimeError("no answer")])
def test_a_cluster_that_does_not_answer_asks_for_nothing(cluster, tmp_path, error):
    cluster.error = error
    notice = Notice(lambda: NODES, tmp_path)
    notice.look()
    assert not notice.came()


def test_a_run_that_ends_leaves_word_for_its_stages(cluster, tmp_path):
    notice = Notice(lambda: NODES, tmp_path)
    notice.look()
    assert not notice.came()
    assert not leaving.has_stopped(tmp_path)
    leaving.stop(tmp_path)
    assert leaving.has_stopped(tmp_path)
    notice.look()
    assert notice.is_end
    assert notice.came()
    leaving.stop(tmp_path / "removed meanwhile")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_a_file_system_that_does_not_answer_asks_for_nothing_and_is_asked_again(cluster, tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "it does not answer")

    leaving.stop(tmp_path)
    notice = Notice(lambda: NODES, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        assert not leaving.has_stopped(tmp_path)
        cluster.going = {"a": 0}
        notice.look()
        assert notice.going == {"host-a": [0]}, "the look goes on"
    assert not notice.is_end
    notice.look()
    assert notice.is_end


def test_a_thread_looks_until_the_stage_has_ended(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(leaving, "LOOK_SECONDS", 0.01)
    with Notice(lambda: NODES, tmp_path) as notice:
        cluster.going = {"a": 0}
        deadline = time.monotonic() + 30
        while not notice.came() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert notice.going == {"host-a": [0]}
    notice._thread.join(30)
    assert not notice._thread.is_alive()


@pytest.mark.parametrize(("going", "gone"), [({}, False), ({"here": 0}, True), ({"there": 0}, False)])
def test_what_fails_on_a_node_that_is_about_to_go_is_no_failure(cluster, monkeypatch, going, gone):
    monkeypatch.setattr(stage_trial.ray, "nodes", lambda: [{"NodeID": "here", "Alive": True}])
    cluster.going = going
    assert is_gone("here") is gone


class Asked:
    """Stands for a remote method of the mailbox."""

    def __init__(self, answer):
        self.answer = answer

    def remote(self, *own):
        return self.answer(*own)


class Mailbox:
    """Stands for the mailbox of a group of two, whose ranks end when they are asked to leave."""

    def __init__(self, *items):
        self.items, self.left = list(items), 0
        self.take = Asked(lambda _: [self.items.pop(0)] if self.items else [])
        self.all_ended = Asked(lambda _: bool(self.left))
        self.pulses = Asked(dict)
        self.leave = Asked(self._leave)

    def _leave(self):
        self.left += 1


class Group(WorkerGroup):
    """A group whose workers are played."""

    def __init__(self, mailbox):
        self.size, self.nodes, self.leaving, self.hung, self.step = 2, {}, None, "", None
        self._mailbox = mailbox

    @property
    def is_alive(self):
        return True


@pytest.fixture
def relayed(monkeypatch, tmp_path, cluster):
    monkeypatch.setattr(worker_group.ray, "get", lambda answer: answer)
    monkeypatch.setattr(worker_group.tune, "report", lambda _: None)

    def relay(group, notice):
        job = SimpleNamespace(resources=SimpleNamespace(hung_after_s=100), judged=False)
        group._relay(job, lambda: begun(notice), lambda: False, notice)

    def begun(notice):
        notice.look()

    return relay


def test_the_ranks_are_asked_once_to_leave(relayed, cluster, tmp_path):
    mailbox = Mailbox({COMPLETE: {0: ("a", "host-a"), 1: ("b", "host-b")}})
    group = Group(mailbox)
    cluster.going = {"b": 0}
    relayed(group, Notice(lambda: group.nodes, tmp_path))
    assert mailbox.left == 1
    assert str(group.leaving) == "the node host-b with rank 1 is about to go"


def test_a_rank_may_see_before_the_trial_that_another_run_has_the_stage(relayed, tmp_path):
    mailbox = Mailbox({COMPLETE: {0: ("a", "host-a"), 1: ("b", "host-b")}}, {CLAIMED: True})
    mailbox.all_ended = Asked(lambda _: not mailbox.items)
    group = Group(mailbox)
    with pytest.raises(TakenOver):
        relayed(group, Notice(lambda: group.nodes, tmp_path))


def test_a_stage_that_waits_for_its_workers_ends_with_the_run(relayed, tmp_path):
    leaving.stop(tmp_path)
    notice, group = Notice(dict, tmp_path), Group(Mailbox())
    notice.look()
    with pytest.raises(Stopped):
        relayed(group, notice)


class Queue:
    """Stands for the queue of a run in which so many stages have begun."""

    def __init__(self, begun):
        self.begun, self.stopped = begun, 0

    def stop(self):
        self.stopped += 1


class Display:
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def watched(begun):
    stops, queue, display = [], Queue(begun), Display()
    made = SweepWatcher(queue, None, display, None, None, stop=lambda: stops.append(1))  # pyright: ignore[reportArgumentType]
    made._answers = True
    return made, queue, display, stops


def test_the_first_interrupt_lets_the_stages_save_and_the_second_does_not_wait():
    handled = []
    made, queue, display, stops = watched(2)
    made._answer(lambda: handled.append(1))
    assert (handled, stops, queue.stopped, display.said) == ([], [1], 1, [watcher.STOPPING])
    made.on_step_begin(1, [])
    assert handled == []
    made._answer(lambda: handled.append(2))
    assert handled == [2]
    assert stops == [1]


def test_stages_that_take_too_long_are_ended(monkeypatch):
    handled = []
    made, *_ = watched(1)
    made._answer(lambda: handled.append(1))
    monkeypatch.setattr(watcher, "STOP_SECONDS", -1.0)
    for _ in range(3):
        made.on_step_begin(1, [])
    assert handled == [1], "once"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("mfsweep.run.leaving.Leaving: the node a with rank 0 is about to go", "the node a with rank 0 is about to go"),
        ("RuntimeError: CUDA error", "lost the worker: RuntimeError: CUDA error"),
    ],
)
def test_a_trial_that_left_says_why_and_not_that_it_was_lost(tmp_path, error, said):
    file = tmp_path / "error.txt"
    file.write_text(f"Failure # 1 (occurred at noon)\nray::train()\n  File x\n{error}\n")
    assert watcher._why(SimpleNamespace(error_file=str(file))) == said


def test_where_nothing_has_begun_there_is_nothing_to_save():
    handled = []
    made, _, display, stops = watched(0)
    made._answer(lambda: handled.append(1))
    assert (handled, stops, display.said) == ([1], [], [])
