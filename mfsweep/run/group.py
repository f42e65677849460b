"""A stage in worker groups: one that was kept from the stage before, or a new one, and others after failures.

Ray counts the failures of a whole stage, while here those count that come without a validation in between, and a node
that went away, or is about to, is none. So Ray is given no second try of its own; after each failure the trial starts a
new group, whose workers go on from the last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ray import tune
from ray.train.v2.api.exceptions import TrainingFailedError

from mfsweep.errors import TrainingError
from mfsweep.records import Interruption
from mfsweep.run import disk
from mfsweep.run.job import Job
from mfsweep.run.lost import loss, lost_nodes
from mfsweep.run.stage_status import LOST
from mfsweep.run.worker_group import KeptGroup, WorkerGroup

_KEPT = KeptGroup()


def perform_in_group(job: Job, scratch: str, begun: Callable[[], None], is_lost: Callable[[], bool]) -> bool:
    """Perform a stage in worker groups, one after another as long as its failures allow.

    Return whether its ranks have come to their end: it is done then, or a search has given it up.

    Args:
        job: the stage.
        scratch: folder that Ray Train writes in.
        begun: called in this process each time that a group is complete.
        is_lost: whether another run has taken the stage over.

    Raises:
        TrainingError: a rank's own, or too many failures in a row.
        TrainingFailedError: the disk is full.
        TakenOver: another run has the stage.
    """
    failures = 0
    step: int | None = None
    while True:
        group, error = _perform(job, scratch, begun, is_lost)
        if error is None:
            if group.leaving is None or group.leaving.is_end or job.is_over():
                return group.leaving is None or job.is_over()
            _go_on(job, group.step or step, f"{group.leaving}; its state is saved")
            continue
        if disk.is_full(job.folder.path):
            raise error
        if group.step is not None:
            failures, step = 0, group.step
        gone = lost_nodes(error, group.nodes)
        failures += not gone
        what = (not gone and group.hung) or loss(error, group.nodes, job.resources.workers, gone)
        if failures > job.resources.max_failures:
            raise TrainingError(f"the group failed {failures} times without a validation in between, at last: {what}")
        count = "not counted as a failure" if gone else f"failure {failures} since the last validation"
        _go_on(job, step, what, f"{count})\n{error}")


def _go_on(job: Job, step: int | None, what: str, count: str = "not counted as a failure)") -> None:
    """Say why a stage needs another group."""
    job.folder.say(f"{what}; the group starts again from its last checkpoint ({count}")
    job.folder.add_interruption(Interruption(time=time.time(), step=step, what=what))
    tune.report({LOST: what})


def _perform(
    job: Job, scratch: str, begun: Callable[[], None], is_lost: Callable[[], bool]
) -> tuple[WorkerGroup, TrainingFailedError | None]:
    """Perform a stage in one group; return that group, and what ended it before the stage was done."""
    kind = job.resources, job.overlay, scratch
    group = _KEPT.take(*kind) or WorkerGroup(*kind)
    try:
        error = group.perform(job, begun, is_lost)
    except TrainingError:
        group.close()
        raise
    except BaseException:  # a stop, which arrives as an exception of tune.report
        group.kill()
        raise
    if error is None and job.resources.keep_workers and group.leaving is None:
        _KEPT.keep(group)
    else:
        group.close()
    return group, error
