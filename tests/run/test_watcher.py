"""What a sweep does with stages that were done before it began; whole sweeps are run in tests/cli/test_run.py."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from mfsweep.files import write_text
from mfsweep.run.mirror import Mirror
from mfsweep.run.stage_status import Status
from mfsweep.run.watcher import SweepWatcher, take_in
from mfsweep.store import StageFolder


def shown():
    """Stand for the mirror, which is another matter."""
    return Mock(spec=Mirror)


@pytest.fixture
def untidy(store, monkeypatch):
    """Give a stage with a last.pt and the list of the tidyings of any stage, which do nothing."""
    folder, tidied = store.stage("k"), []
    write_text(folder.last, "")
    monkeypatch.setattr(StageFolder, "tidy", lambda own: tidied.append(own.key))
    return folder, tidied


def test_a_reused_stage_is_tidied_unless_another_sweep_holds_it(untidy):
    folder, tidied = untidy
    with folder.claim():
        take_in(folder, shown())
        assert tidied == []
    take_in(folder, shown())
    assert tidied == ["k"]


def test_a_tidy_stage_is_left_alone(untidy):
    folder, tidied = untidy
    folder.last.unlink()
    take_in(folder, shown())
    assert tidied == []


def test_another_users_stage_fails_nothing(untidy, monkeypatch):
    def refuse(own):
        raise PermissionError(13, "Permission denied", str(own.last))

    monkeypatch.setattr(StageFolder, "tidy", refuse)
    take_in(untidy[0], shown())


@pytest.mark.parametrize("seen", [None, "of an earlier run", "the loss is not finite"])
def test_why_a_stage_has_failed_is_known_before_it_can_be_seen(store, seen):
    """`seen`: what the store shows here of what the trial has written elsewhere."""
    folder, told = store.stage("k"), []
    if seen:
        folder.fail(seen)
    queue = Mock(status={"k": Status.FAILED}, take_ended=lambda: ["k"], why_failed=lambda _: "the loss is not finite")
    display = Mock(ended=lambda *_: told.append(folder.failure()))
    SweepWatcher(queue, Mock(), display, shown(), store).on_step_end(0, [])
    assert told == ["the loss is not finite"]
