"""The trial of one stage: a Tune function that runs one TorchTrainer.

One worker: the trainer runs in the trial's own process (`num_workers=0`), which Tune reuses for the next stage, so that
imports, data and edges are paid for once. Several workers: a real worker group (group.py), kept in the same way.

An architecture with packages of its own finds them in its overlay, in front of the import path of whoever trains it.

How it can end otherwise than well:

    an MfsweepError             would come again: it is written to the stage's log, and the trial ends normally, undone
    a search's pruner           the trial ends at the validation that decided, undone; its checkpoint stays
    another sweep's claim       the trial ends at once, undone; the queue holds the stage back. Likewise where another
                                has taken the stage over, because this process was stopped for long: before it writes
                                anything more
    a node that is to go        the stage saves its state and goes on on another; no failure
    a run that is to end        the trial ends where it is, its state saved
    a full disk                 the stage waits for room and goes on from its last checkpoint
    anything else               the stage is started again from its last checkpoint: `max_failures` times without a
                                validation in between, then it has failed
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import ray
import torch
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from mfsweep.errors import MfsweepError
from mfsweep.run import disk
from mfsweep.run.group import perform_in_group
from mfsweep.run.job import Job
from mfsweep.run.leaving import Leaving, Notice, Stopped, has_stopped
from mfsweep.run.lost import WORD_SECONDS, TakenOver
from mfsweep.run.perform import perform
from mfsweep.run.stage_status import BEGUN, CLAIMED, ENDED, FAILURE, GIVEN_UP, PAUSED, PERFORMED, STOPPED
from mfsweep.run.stage_trial import last_line
from mfsweep.store.lease import Holding
from mfsweep.train.loop import Progress
from mfsweep.train.world import World

ENDED_WITH_RUN = "stopped with the run; the next one goes on from its last checkpoint"
TAKEN_OVER = "stopped: meanwhile another run has taken the stage over"


def run_stage(config: dict[str, Any]) -> None:
    """Perform the stage `config["job"]` (a dumped Job); what Tune calls."""
    job = Job.model_validate(config["job"])
    end: dict[str, Any] = {ENDED: True}

    def work() -> None:
        if has_stopped(config["scratch"]):  # its turn came too late
            end[STOPPED] = True
            return
        with job.folder.claim(goes_on=True) as mine:
            end[PERFORMED] = job.is_done()
            if not mine or end[PERFORMED]:
                end[CLAIMED] = True
                return
            with _logged(job, mine, end):
                if job.resources.workers == 1:
                    _in_process(job, mine, config["scratch"])
                    end[PERFORMED] = job.is_done()
                else:  # the record is of a rank, perhaps on another node
                    mine.leave_unsaid()
                    held = job.model_copy(update={"lease": mine.number})
                    end[PERFORMED] = perform_in_group(held, config["scratch"], begun, mine.is_lost)
            if end.get(CLAIMED) or mine.is_lost():
                end[CLAIMED] = True
            elif is_given_up(job):
                end[GIVEN_UP] = True
            elif has_stopped(config["scratch"]):
                end[STOPPED] = True

    _in_spite_of_full_disks(job, work)
    tune.report(end)


def is_given_up(job: Job) -> bool:
    """Return whether a search has given the stage up; after `tune.report`, which returns when that is decided."""
    return job.judged and job.folder.pruning() is not None


def begun() -> None:
    """Say that the stage has its workers."""
    tune.report({BEGUN: ray.get_runtime_context().get_node_id()})


def _in_process(job: Job, mine: Holding, scratch: str) -> None:
    if job.overlay and job.overlay not in sys.path:
        assert "e3nn" not in sys.modules, "architectures with different packages never share a process"
        sys.path.insert(0, job.overlay)

    def report(progress: Progress) -> bool:
        tune.report(progress._asdict())
        return not (mine.is_lost() or is_given_up(job))

    def loop() -> None:
        torch.set_num_threads(max(1, int(job.resources.cpus_per_worker)))
        device = "cuda" if job.resources.gpus_per_worker else "cpu"
        perform(job, World.alone(device)._replace(is_leaving=notice.came, is_lost=mine.is_lost), report)

    begun()
    here = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
    with Notice(lambda: {0: here}, scratch) as notice:
        TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=0)).fit()
    if notice.going and not notice.is_end and not job.is_over():
        raise Leaving(f"{notice}; its state is saved")


def _in_spite_of_full_disks(job: Job, work: Callable[[], None]) -> None:
    """Do the work; where a full disk ends it, wait for room and do it again: it goes on from its last checkpoint."""
    while True:
        try:
            work()
        except MfsweepError:
            raise
        except Exception:
            if not disk.is_full(job.folder.path):
                raise
        else:
            return
        while not disk.has_room(job.folder.checkpoints):
            tune.report({PAUSED: f"the disk of {job.store} is full"})
            time.sleep(WORD_SECONDS)


@contextlib.contextmanager
def _logged(job: Job, mine: Holding, end: dict[str, Any]) -> Iterator[None]:
    """Write a stage's begin, end and any error to its log; an MfsweepError and a loss end here, and stand in `end`."""
    say = job.folder.say
    job.folder.begin()
    say(f"stage {job.name} starts with {job.resources.workers} worker(s)")
    try:
        yield
    except MfsweepError as error:
        say(f"{type(error).__name__}: {error}")
        end[FAILURE] = str(error)
        job.folder.fail(str(error))
    except TakenOver:
        end[CLAIMED] = True
        say(TAKEN_OVER)
    except Stopped:
        say(ENDED_WITH_RUN)
    except Leaving as leaving:
        say(str(leaving))
        raise
    except Exception as error:
        full = f"the disk of {job.store} is full: {last_line(str(error))}"
        say(full if disk.is_why(error) else traceback.format_exc())
        raise
    else:
        pruning = job.folder.pruning() if job.judged else None
        if mine.is_lost():
            say(TAKEN_OVER)
        elif pruning:
            say(f"{pruning.reason}; its checkpoint stays")
        else:
            say("done" if job.is_over() else ENDED_WITH_RUN)
