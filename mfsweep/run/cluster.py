"""The Ray cluster of a run: joined or started, and what it can ever give."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping

import ray
from ray._private import state
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # pyright: ignore[reportAttributeAccessIssue] (generated)
from ray.tune import PlacementGroupFactory
from ray.util.placement_group import PlacementGroup, remove_placement_group

from mfsweep.errors import ResourceError
from mfsweep.overlay import PINS
from mfsweep.spec.resources import Resources

CONNECT_SECONDS = 10.0
RELEASE_SECONDS = 30.0
"""How long the end of a sweep waits for the controllers of its worker groups to be gone."""

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
            runtime_env={"env_vars": _worker_settings()},
            include_dashboard=None if address or in_job() else dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
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


def _worker_settings() -> dict[str, str]:
    """Return the workers' environment, without what the surrounding job sets itself: Ray refuses to have both."""
    job = json.loads(os.environ.get(_JOB_CONFIG) or "{}")
    of_job = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {name: os.environ.get(name, value) for name, value in _WORKER_SETTINGS.items() if name not in of_job}


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
        f"RAY_ADDRESS={address}: no Ray cluster answers there ({error}). Start one with `ray start --head`, or "
        "unset it; one that asks for a token needs RAY_AUTH_MODE=token and its token here"
    )


def slots(resources: Resources) -> int:
    """Return how many stages fit on the cluster at its largest.

    Raises:
        ResourceError: not one.
    """
    each = worker_resources(resources)
    workers = max(_workers_there(each), _workers_of_autoscaler(each))
    if workers >= resources.workers:
        return workers // resources.workers
    asked = group_resources(resources)
    has = maximum()
    short = ", ".join(
        f"{amount:g} {name} (it has {has.get(name, 0):g} at most)"
        for name, amount in asked.items()
        if has.get(name, 0.0) < amount
    )
    if not short:
        one = " and ".join(f"{amount:g} {name}" for name, amount in each.items())
        short = f"{resources.workers} worker(s) of {one}, each on one node (its nodes have room for {workers})"
    raise ResourceError(
        f"the cluster can never serve one stage, which needs {short}: "
        f"lower resources.workers, resources.gpus_per_worker or resources.cpus_per_worker in the spec "
        f"(or with --workers, --gpus-per-worker, --cpus-per-worker)"
    )


def maximum() -> dict[str, float]:
    """Return the most of each resource that the cluster can ever have: the autoscaler's limits, or what is there."""
    there = ray.cluster_resources()
    limits = state.state.get_max_resources_from_cluster_config() or {}
    return {name: max(float(limits.get(name, 0)), there.get(name, 0.0)) for name in {*there, *limits}}


def _workers_there(each: Mapping[str, float]) -> int:
    """Return how many workers the nodes that are up have room for, node by node."""
    return sum(_workers_on(node["Resources"], each) for node in ray.nodes() if node["Alive"])


def _workers_of_autoscaler(each: Mapping[str, float]) -> int:
    """Return how many workers fit on all the nodes that the autoscaler may start; 0 where there is none."""
    config = state.state.get_cluster_config()
    if config is None:
        return 0
    workers = sum(
        _workers_on(kind.resources, each) * (kind.max_count if kind.max_count >= 0 else _UNLIMITED)
        for kind in config.node_group_configs
    )
    return min(workers, _workers_on({name: config.max_resources.get(name, _UNLIMITED) for name in each}, each))


_UNLIMITED = 1_000_000
"""More nodes, and more of a resource, than any cluster has; the autoscaler's own word for it is -1."""


def _workers_on(node: Mapping[str, float], each: Mapping[str, float]) -> int:
    # Amounts are sums of tenths and hundredths: 0.3 / 0.1 is to count as three.
    return min(math.floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in each.items())


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


def trial_resources(resources: Resources, architecture: str) -> PlacementGroupFactory:
    """Return what the trial itself holds: the worker's share where it is the worker, else a place on the head.

    Tune runs a trial in the process of an earlier one if what they hold is equal. A process that imported one
    architecture cannot import one with an overlay, so that the two must differ: by the strategy, which says nothing
    about a single bundle.

    A trial that waits for its group must hold nothing that a group needs.
    """
    if resources.workers > 1:
        return PlacementGroupFactory([{"node:__internal_head__": 0.001}])
    return PlacementGroupFactory([worker_resources(resources)], strategy="SPREAD" if architecture in PINS else "PACK")


def release_orphaned_groups() -> int:
    """Give back what worker groups hold whose controller is gone; return how many groups that were.

    A controller that is killed while its group is pending leaves it, and Ray keeps it until the driver ends: its
    workers' place would be lost to the rest of the sweep.
    """
    job = ray.get_runtime_context().get_job_id()
    accessor = state.state._connect_and_get_accessor()  # noqa: SLF001 (the public table does not name the creator)
    tables = map(PlacementGroupTableData.FromString, accessor.get_placement_group_table())
    orphans = [
        table
        for table in tables
        if table.creator_job_id.hex() == job
        and any(table.creator_actor_id.strip(b"\xff"))  # made by an actor: the trials' own groups are the driver's
        and table.creator_actor_dead
        and table.state != PlacementGroupTableData.REMOVED
    ]
    for table in orphans:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(table.placement_group_id)))
    return len(orphans)


def release_groups() -> None:
    """Wait until no controller of a worker group is left, and give back what their groups hold."""
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    deadline = time.monotonic() + RELEASE_SECONDS
    while True:
        alive = any(
            actor["ActorClassName"].endswith("TrainController") and actor["State"] != "DEAD"
            for actor in state.actors(job_id=job).values()
        )
        release_orphaned_groups()
        if not alive or time.monotonic() > deadline:
            return
        time.sleep(0.2)
