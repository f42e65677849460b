"""The Ray cluster of a run: joined or started, and what it can ever give."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Iterator

import ray
from ray._private import state
from ray.tune import PlacementGroupFactory

from mfsweep.errors import ResourceError
from mfsweep.spec.resources import Resources

CONNECT_SECONDS = 10.0

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
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
    "OMP_NUM_THREADS": "1",
}


def in_job() -> bool:
    """Return whether this process was started by `ray job submit`."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or "RAY_JOB_ID" in os.environ


@contextlib.contextmanager
def connected(*, dashboard: bool) -> Iterator[str]:
    """Join the cluster of RAY_ADDRESS or of the surrounding job, or start one here; give what it is called.

    One that this process is connected to already is used and left as it is.

    Args:
        dashboard: start it with a local cluster; the clean-up of stopped worker groups asks it.

    Raises:
        ResourceError: the cluster of RAY_ADDRESS cannot be reached.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _TUNE_SETTINGS.items()})
    if ray.is_initialized():
        yield "the Ray cluster of this process"
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _require_listener(address)
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": {name: os.environ.get(name, value) for name, value in _WORKER_SETTINGS.items()}},
            include_dashboard=None if address or in_job() else dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise _no_cluster(address, error) from error
    try:
        yield (
            f"the Ray cluster at {address}"
            if address
            else "the job's Ray cluster"
            if in_job()
            else "a local Ray cluster"
        )
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Refuse an address at which nothing listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto" or "local": nothing to try
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ResourceError:
    return ResourceError(
        f"RAY_ADDRESS={address}: no Ray cluster answers there ({error}). Start one with `ray start --head`, or unset it"
    )


def maximum() -> dict[str, float]:
    """Return the most of each resource that the cluster can ever have: the autoscaler's limits, or what is there."""
    there = ray.cluster_resources()
    limits = state.state.get_max_resources_from_cluster_config() or {}
    return {name: max(float(limits.get(name, 0)), there.get(name, 0.0)) for name in {*there, *limits}}


def slots(resources: Resources) -> int:
    """Return how many stages fit on the cluster at its largest.

    Raises:
        ResourceError: not one.
    """
    has = maximum()
    asked = group_resources(resources)
    fits = min(math.floor(has.get(name, 0.0) / amount + 1e-9) for name, amount in asked.items())
    if fits < 1:
        short = ", ".join(
            f"{amount:g} {name} (it has {has.get(name, 0):g} at most)"
            for name, amount in asked.items()
            if has.get(name, 0.0) < amount
        )
        raise ResourceError(
            f"the cluster can never serve one stage, which needs {short}: "
            f"lower resources.workers, resources.gpus_per_worker or resources.cpus_per_worker in the spec "
            f"(or with --workers, --gpus-per-worker, --cpus-per-worker)"
        )
    return fits


def group_resources(resources: Resources) -> dict[str, float]:
    """Return what one stage's workers hold together."""
    each = worker_resources(resources)
    return {name: amount * resources.workers for name, amount in each.items()}


def worker_resources(resources: Resources) -> dict[str, float]:
    """Return what one worker holds."""
    asked = {
        "CPU": resources.cpus_per_worker,
        "GPU": resources.gpus_per_worker,
        "memory": resources.memory_per_worker_gib * 2**30,
    }
    return {name: amount for name, amount in asked.items() if amount}


def trial_resources(resources: Resources) -> PlacementGroupFactory:
    """Return what the trial itself holds: the worker's share where it is the worker, else a place on the head.

    A trial that waits for its group must hold nothing that a group needs.
    """
    if resources.workers == 1:
        return PlacementGroupFactory([worker_resources(resources)])
    return PlacementGroupFactory([{"node:__internal_head__": 0.001}])
