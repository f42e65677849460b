"""The Ray cluster of a run: joined or started, and what a trial on it holds."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune import PlacementGroupFactory

from mfsweep.models.overlay import PINS
from mfsweep.run import head, own_cluster
from mfsweep.run.address import not_joined, reachable
from mfsweep.spec.resources import Resources

HEAD = {"node:__internal_head__": 0.001}
"""What a task or an actor asks for in order to run on the head, beside the drivers of sweeps."""

_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable in which Ray tells a job's driver the job's runtime_env and metadata, as JSON."""

_TUNE_SETTINGS = {
    # The queue hands out only what fits, so all of it may be pending at once (Tune's own default is one).
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A snapshot of the experiment's state serves Tuner.restore only; the store is what a run resumes from.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
}
_WORKER_SETTINGS = {
    # A stage that is stopped between two reports ends at the next one, a validation later.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    # A group waits for a busy or growing cluster as long as that takes: what never fits was refused at the start.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(30 * 86400),
    "OMP_NUM_THREADS": "1",
}


def in_job() -> bool:
    """Return whether this process was started by `ray job submit`."""
    return _JOB_CONFIG in os.environ or "RAY_JOB_ID" in os.environ


@contextlib.contextmanager
def connected(*, dashboard: bool) -> Iterator[str]:
    """Join the cluster of RAY_ADDRESS or of the surrounding job, or start one here; give what it is called.

    One that this process is connected to already is used and left as it is. One that merely runs on this machine, or
    has left its address behind, is never joined.

    Args:
        dashboard: start it with an own cluster; the clean-up of stopped worker groups asks it.

    Raises:
        ResourceError: the cluster of RAY_ADDRESS cannot be joined, or none can be started here.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _TUNE_SETTINGS.items()})
    logging.getLogger("ray.widgets").setLevel(logging.WARNING)  # in a notebook it asks for ipywidgets
    if ray.is_initialized():
        yield "the Ray cluster of this process"
        return
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        if address not in ("", "local"):
            _join(address)
            called = f"the Ray cluster at {address}"
        elif in_job():
            _init(address=None)
            called = "the job's Ray cluster"
        else:
            own_cluster.start(lambda **options: _init(include_dashboard=dashboard, **options))
            called = own_cluster.called()
        with head.watched(ray.get_runtime_context().gcs_address, head.say_on_stderr):
            yield called
    finally:
        ray.shutdown()


def _init(**options: Any) -> None:
    ray.init(runtime_env={"env_vars": _worker_settings()}, log_to_driver=False, logging_level=logging.ERROR, **options)


def _join(address: str) -> None:
    found = reachable(address)
    try:
        _init(address=found)
    except (RayError, RuntimeError, OSError) as error:
        raise not_joined(address, error) from error


def _worker_settings() -> dict[str, str]:
    """Return the workers' environment, without what the surrounding job sets itself: Ray refuses to have both."""
    job = json.loads(os.environ.get(_JOB_CONFIG) or "{}")
    of_job = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {name: os.environ.get(name, value) for name, value in _WORKER_SETTINGS.items() if name not in of_job}


def worker_resources(resources: Resources) -> dict[str, float]:
    """Return what one worker holds."""
    asked = {
        "CPU": resources.cpus_per_worker,
        "GPU": resources.gpus_per_worker,
        "memory": resources.memory_per_worker_gib * 2**30,
    }
    return {name: amount for name, amount in asked.items() if amount}


def holds_workers_place(holds: PlacementGroupFactory) -> bool:
    """Return whether a trial holds what its worker needs, and not a place on the head alone."""
    return not holds.required_resources.keys() <= HEAD.keys()


def trial_resources(resources: Resources, architecture: str, kind: int = 0) -> PlacementGroupFactory:
    """Return what the trial itself holds: the worker's share where it is the worker, else a place on the head.

    Args:
        resources: what the stage is given.
        architecture: of its model.
        kind: a number of the worker groups that can take its stages after each other.

    Tune runs a trial in the process of an earlier one if what they hold is equal. A process that imported one
    architecture cannot import one with an overlay, so that the two must differ: by the strategy, which says nothing
    about a single bundle.

    A trial that waits for its group must hold nothing that a group needs. Of the head it holds the more the higher its
    kind, so that a process with a group that stays is used again for stages of that kind.
    """
    if resources.workers > 1:
        return PlacementGroupFactory([{name: amount * (1 + kind / 10) for name, amount in HEAD.items()}])
    return PlacementGroupFactory([worker_resources(resources)], strategy="SPREAD" if architecture in PINS else "PACK")
