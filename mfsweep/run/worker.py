"""What each worker of a group does: it takes stage after stage from the group's mailbox until there is none to come."""

from __future__ import annotations

from typing import Any

import ray
import torch
from ray.train import get_context
from ray.train.torch import get_device

from mfsweep.errors import MfsweepError
from mfsweep.run.hung import Heart
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.run.stage_status import CLAIMED
from mfsweep.train.loop import Progress
from mfsweep.train.world import World

TOGETHER_SECONDS = 60.0
"""How long a rank with an error waits for the others to end too, as they do when the error is one of all ranks."""


def work(config: dict[str, Any]) -> None:
    """Perform the jobs of `config["mailbox"]` as one rank of the group; what Ray Train calls on every worker.

    An MfsweepError of every rank ends a job, and not the group: the trial reads it in the mailbox. An error of one rank
    must end the others too, which wait for it in a collective: it is raised.
    """
    mailbox = config["mailbox"]
    context = get_context()
    world = World(context.get_world_rank(), context.get_world_size(), get_device())
    number = 0
    while (job := ray.get(mailbox.job.remote(number))) is not None:
        _perform(Job.model_validate(job), world, mailbox)
        number += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next stage may need other sizes


def _perform(job: Job, world: World, mailbox: Any) -> None:
    torch.set_num_threads(max(1, int(job.resources.cpus_per_worker)))

    def report(progress: Progress) -> bool:
        # Waiting for the answer makes a stage whose trial is gone end here.
        ray.get(mailbox.put.remote(progress._asdict()))
        return not job.judged or bool(ray.get(mailbox.answered.remote()))

    def is_lost() -> bool:
        lost = job.is_lost()
        if lost:  # the trial's machine may see it later than this one
            ray.get(mailbox.put.remote({CLAIMED: True}))
        return lost

    runtime = ray.get_runtime_context()
    node = runtime.get_node_id(), ray.util.get_node_ip_address()
    ray.get(mailbox.begin.remote(world.rank, node, runtime.current_actor))
    try:
        with Heart(mailbox, world.rank, job.resources.hung_after_s) as heart:
            perform(job, world._replace(enter=heart.enter, is_leaving=heart.is_leaving, is_lost=is_lost), report)
    except MfsweepError as error:
        ray.get(mailbox.end.remote(world.rank, str(error)))
        if not ray.get(mailbox.all_ended.remote(TOGETHER_SECONDS)):
            raise
    else:
        ray.get(mailbox.end.remote(world.rank, None))
