"""Worker processes that import what a stage needs while the driver is still busy with other things.

A fresh process takes seconds to import PyTorch, Ray Train and what rests on them. Ray keeps a process whose task has
ended, and makes it the process of the next actor of the same job: here that is a trial. What an architecture imports is
left out: those with packages of their own never share a process with others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ray

from mfsweep.spec.resources import Resources

if TYPE_CHECKING:
    from ray import ObjectRef


def warm(resources: Resources, stages: int) -> list[ObjectRef]:
    """Start worker processes for the first stages, where these are sure to become their processes.

    On several nodes Ray would choose where. The processes of a group belong to the group. A process that looks for GPUs
    while it has none will see none later.

    Args:
        resources: what each stage is given.
        stages: how many begin at once.

    Returns:
        References to the tasks, whose ends nobody needs to wait for.
    """
    alone = resources.workers == 1 and not resources.gpus_per_worker
    if not alone or sum(node["Alive"] for node in ray.nodes()) != 1:
        return []
    task = ray.remote(num_cpus=0, max_retries=0)(_import)
    return [task.remote() for _ in range(stages)]


def _import() -> int:
    """Import what a trial needs; return the process's id."""
    import os

    import mfsweep.run.trial  # noqa: F401

    return os.getpid()
