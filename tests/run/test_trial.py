"""What the trial of a stage says at its end, by which the driver knows it; the training is played."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from mfsweep.errors import TrainingError
from mfsweep.records import Pruning
from mfsweep.run import leaving, trial
from mfsweep.run.leaving import Stopped
from mfsweep.run.lost import TakenOver
from mfsweep.run.stage_status import CLAIMED, ENDED, FAILURE, GIVEN_UP, PERFORMED, STOPPED
from mfsweep.store import StageFolder


class Lost:
    """Holds the stage until it is taken over."""

    is_over = False
    number = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def is_lost(self):
        return self.is_over

    def leave_unsaid(self):
        self.is_unsaid = True


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Give a stage of which `performs` is what its training does, and a function that returns its trial's last word."""
    folder = StageFolder(tmp_path / "stage")
    reported = []
    job = SimpleNamespace(
        folder=folder,
        name="pretrain",
        store=str(tmp_path),
        judged=True,
        done=False,
        mine=Lost(),
        resources=SimpleNamespace(workers=1),
        performs=lambda: None,
    )
    job.is_done = lambda: job.done
    job.is_over = lambda: job.done
    job.model_copy = lambda **_: job
    monkeypatch.setattr(StageFolder, "claim", lambda _, *, goes_on: job.mine if goes_on else None)
    monkeypatch.setattr(trial.Job, "model_validate", lambda _: job)
    monkeypatch.setattr(trial, "_in_process", lambda *_: job.performs())
    monkeypatch.setattr(trial, "perform_in_group", lambda *_: job.performs())
    monkeypatch.setattr(trial.tune, "report", reported.append)

    def word():
        trial.run_stage({"job": {}, "scratch": str(tmp_path)})
        return {key: value for key, value in reported[-1].items() if value}

    return job, word


def fails(error):
    def perform():
        raise error

    return perform


def test_a_stage_that_is_done_is_said_to_be_also_where_another_run_did_it(stage):
    job, word = stage
    job.performs = lambda: setattr(job, "done", True)
    assert word() == {ENDED: True, PERFORMED: True}
    job.performs = fails(AssertionError("it is done"))
    assert word() == {ENDED: True, PERFORMED: True, CLAIMED: True}
    job.done, job.mine = False, contextlib.nullcontext(False)
    assert word() == {ENDED: True, CLAIMED: True}


def test_a_group_is_taken_at_its_word_as_its_records_may_not_be_seen_here(stage):
    job, word = stage
    job.resources.workers = 2
    job.performs = lambda: True
    assert word() == {ENDED: True, PERFORMED: True}
    assert job.mine.is_unsaid, "nor what it has left"
    job.performs = lambda: False
    assert word() == {ENDED: True}


def test_why_a_stage_has_failed_is_said(stage):
    job, word = stage
    job.performs = fails(TrainingError("the loss of https://me:pw@host is not finite"))
    assert word() == {ENDED: True, FAILURE: "the loss of https://***@host is not finite"}
    assert job.folder.failure() == "the loss of https://***@host is not finite"


@pytest.mark.parametrize(("error", "key"), [(Stopped(), STOPPED), (TakenOver(), CLAIMED)])
def test_what_was_cut_short_is_not_said_to_be_done(stage, tmp_path, error, key):
    job, word = stage

    def cut():
        leaving.stop(tmp_path)
        job.mine.is_over = key == CLAIMED
        raise error

    job.performs = cut
    assert word() == {ENDED: True, key: True}


def test_what_a_search_has_given_up_is_said(stage):
    job, word = stage
    job.performs = lambda: job.folder.prune(Pruning(time=0.0, study="small", step=2, reason="given up"))
    assert word() == {ENDED: True, GIVEN_UP: True}
