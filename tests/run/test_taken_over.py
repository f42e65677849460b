"""The trial of a stage that another run takes over meanwhile; its group and its ranks are played."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from mfsweep.prepare import prepare
from mfsweep.run import trial, worker
from mfsweep.run.lost import TakenOver
from mfsweep.run.stage_status import CLAIMED, ENDED
from mfsweep.run.sweep import _job
from mfsweep.store.lease import read, take
from mfsweep.train import World


@pytest.fixture
def job(write_spec, tmp_path):
    """Make the job of a stage of two workers."""
    plan = prepare(write_spec(("workers: 1", "workers: 2")), tmp_path / "store")
    plan.store.prepare()
    return _job(plan, next(iter(plan.graph.nodes.values())))


def run(monkeypatch, tmp_path, job, perform):
    """Run the trial of a stage of several workers; return what it reports at its end."""
    reported = []
    monkeypatch.setattr(trial, "perform_in_group", perform)
    monkeypatch.setattr(trial.tune, "report", reported.append)
    trial.run_stage({"job": job.model_dump(mode="json"), "scratch": str(tmp_path)})
    return {key: value for key, value in reported[-1].items() if value}


def test_its_ranks_can_tell_by_themselves_that_another_run_has_the_stage(job, monkeypatch, tmp_path):
    asked = []

    def perform(held, *_):
        asked.append(held.is_lost())
        take(held.folder.path, read(held.folder.path))
        asked.append(held.is_lost())

    assert run(monkeypatch, tmp_path, job, perform) == {ENDED: True, CLAIMED: True}
    assert asked == [False, True]
    assert not job.is_lost(), "who was given no lease has none to lose"


def test_what_a_rank_has_seen_the_trial_need_not_see_itself(job, monkeypatch, tmp_path):
    """On a network file system one machine may see it up to a minute before the other."""

    def perform(*_):
        raise TakenOver

    assert run(monkeypatch, tmp_path, job, perform) == {ENDED: True, CLAIMED: True}
    assert trial.TAKEN_OVER in job.folder.log.read_text()


def test_a_rank_that_sees_it_tells_the_trial(job, monkeypatch):
    told, asked = [], []
    job.folder.path.mkdir()
    take(job.folder.path, None)

    def perform(_job, world, _report):
        asked.append(world.is_lost())
        take(job.folder.path, read(job.folder.path))
        asked.append(world.is_lost())

    here = SimpleNamespace(get_node_id=lambda: "here", current_actor=None)
    heart = SimpleNamespace(enter=None, is_leaving=None)
    mailbox = SimpleNamespace(
        **{name: SimpleNamespace(remote=lambda *_: None) for name in ("begin", "end")},
        put=SimpleNamespace(remote=told.append),
    )
    monkeypatch.setattr(worker, "perform", perform)
    monkeypatch.setattr(worker, "Heart", lambda *_: nullcontext(heart))
    monkeypatch.setattr(worker.ray, "get", lambda answer: answer)
    monkeypatch.setattr(worker.ray, "get_runtime_context", lambda: here)
    monkeypatch.setattr(worker.ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    worker._perform(job.model_copy(update={"lease": 1}), World.alone(), mailbox)
    assert (asked, told) == ([False, True], [{CLAIMED: True}])
