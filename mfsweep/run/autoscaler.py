"""What the cluster's autoscaler may start, and what it says that it never can.

Open-source Ray tells a driver neither. What it does have is this. The autoscaler is a process beside the head's other
services, and its command line names the file that it was configured with: `ray up` and `ray start
--autoscaling-config` run it so. KubeRay runs it in a container of its own and keeps its limits to itself; version 2
then still reports, through the head, which requests fit on no kind of node.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import ray
import yaml
from ray._private import state, worker
from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue] (compiled)
from ray.core.generated import autoscaler_pb2
from ray.exceptions import GetTimeoutError

from mfsweep.run.cluster import HEAD
from mfsweep.run.shapes import Limits, NodeKind

PROBE_SECONDS = 60.0
"""How long the head is given to answer: its first worker process is started for it. Then its limits are not known."""


class Autoscaler(NamedTuple):
    """The autoscaler of a cluster that starts and ends nodes."""

    limits: Limits | None
    """None: they are not to be learned."""


def find() -> Autoscaler | None:
    """Return the autoscaler of the cluster that this process is connected to; None where nothing starts nodes."""
    return _find(_address())


@functools.cache
def _find(address: str) -> Autoscaler | None:
    if is_ours():
        return None
    config = state.state.get_cluster_config()  # what Anyscale's platform fills
    if config is not None and config.node_group_configs:
        kinds = [NodeKind(dict(own.resources), _count(own.max_count)) for own in config.node_group_configs]
        return Autoscaler(Limits(tuple(kinds), math.inf))
    try:
        config = ray.get(_configuration.remote(_port(address)), timeout=PROBE_SECONDS)
    except GetTimeoutError:  # a head that is slow with its first process: what it was told is not known then
        config = None
    if config is None:
        # KubeRay starts the head without a monitor: what reports to it then is a container of the autoscaler's own.
        return Autoscaler(None) if _reports() else None
    return Autoscaler(limits_of(config)) if config else None


def is_ours() -> bool:
    """Return whether this process has started the cluster that it is connected to."""
    node = worker._global_node  # noqa: SLF001
    return node is not None and node.is_head()


def limits_of(config: Mapping[str, Any]) -> Limits | None:
    """Return the limits in a cluster's configuration, None where it lacks its nodes' resources."""
    try:
        kinds = [
            NodeKind(
                {name: float(amount) for name, amount in kind["resources"].items()},
                kind.get("max_workers", config["max_workers"]),
            )
            for name, kind in config["available_node_types"].items()
            if name != config["head_node_type"]
        ]
        return Limits(tuple(kinds), config["max_workers"])
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def refuses(each: Mapping[str, float], pending: int) -> bool:
    """Return whether the autoscaler says that not one of our waiting groups can ever be served.

    It also counts as refused what fits on a cluster that is as large as it may be and busy. So its word is taken only
    where no node has anything in use.

    Args:
        each: what a worker of ours holds.
        pending: how many groups of ours wait.
    """
    status = _status()
    refused = status.autoscaling_state.infeasible_gang_resource_requests
    idle = all(
        node.available_resources[name] == amount
        for node in status.cluster_resource_state.node_states
        for name, amount in node.total_resources.items()
        if name in each
    )
    return idle and 0 < pending <= sum(_asks_for(request, each) for request in refused)


def _asks_for(request: Any, each: Mapping[str, float]) -> bool:
    bundles = request.bundle_selectors[0].resource_requests if request.bundle_selectors else request.requests
    return all({name: amount for name, amount in own.resources_bundle.items() if amount} == each for own in bundles)


def _reports() -> bool:
    """Return whether an autoscaler has told the head anything: version 2 by its state, version 1 by a text."""
    if _status().autoscaling_state.autoscaler_state_version:
        return True
    return bool(GcsClient(_address()).internal_kv_get(b"__autoscaling_status", None))


def _status() -> Any:
    """Return what the head knows of nodes, demand and the autoscaler; the public tables leave refusals out."""
    reply = autoscaler_pb2.GetClusterStatusReply()  # pyright: ignore[reportAttributeAccessIssue] (generated)
    reply.ParseFromString(GcsClient(_address()).get_cluster_status())
    return reply


def _address() -> str:
    return ray.get_runtime_context().gcs_address


def _count(count: int) -> float:
    return math.inf if count < 0 else count


def _port(address: str) -> str:
    return address.rpartition(":")[2]


@ray.remote(num_cpus=0, resources=HEAD)
def _configuration(port: str) -> dict[str, Any] | None:
    """Return what the autoscaler beside the head was configured with.

    Empty: the nodes are started by others (Ray's monitor runs there too). None: no monitor runs here.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        options = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
        if any(word.endswith("/monitor.py") for word in words) and _port(options.get("--gcs-address", "")) == port:
            path = options.get("--autoscaling-config")
            return _read(Path(path).expanduser()) if path else {}
    return None


def _read(path: Path) -> dict[str, Any]:
    """Return the part of a cluster's configuration that says which nodes it may have."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: config[name] for name in ("available_node_types", "head_node_type", "max_workers")}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {"not readable": str(path)}
