"""How many stages may be out at a time: as many as the cluster has, or may come to have, room for.

    no autoscaler           what the nodes that are up have room for, looked at again as nodes come and go
    one with known limits   what fits on the cluster at its largest: groups that wait are the demand it grows by
    one that hides them     a few more than have begun, so that it goes on growing as long as it can

A stage that waits for its workers holds nothing of theirs. What a spec states (`resources.groups`) is believed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import ray

from mfsweep.errors import ResourceError
from mfsweep.run import autoscaler, own_cluster
from mfsweep.run.autoscaler import Autoscaler, room_on
from mfsweep.run.cluster import worker_resources
from mfsweep.spec.resources import Resources

AHEAD = 2, 8
"""Stages asked for beyond those that have begun where the limits are not known: as many as have begun, within this."""
LOOK_SECONDS = 10.0
"""Between two looks at the nodes that are up."""


class Room:
    """The room that one run has on the cluster that it is connected to."""

    def __init__(self, resources: Resources) -> None:
        """Look at the cluster.

        Args:
            resources: what each stage is given.

        Raises:
            ResourceError: the cluster can certainly never serve one stage.
        """
        self._resources = resources
        self.each = worker_resources(resources)
        self._autoscaler = autoscaler.find()
        self._there, self._looked = self._stages_there(), time.monotonic()
        self._most = self._at_most()
        if not self._most:
            raise self._refusal()

    def at_a_time(self, begun: int) -> int:
        """Return how many stages may be out, of which `begun` have their workers."""
        if math.isfinite(self._most):
            return int(self._most)
        if self._autoscaler:
            few, many = AHEAD
            return begun + min(max(begun, few), many)
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._there, self._looked = self._stages_there(), time.monotonic()
        return max(1, self._there)

    def refused(self, waiting: int, begun: int) -> ResourceError | None:
        """Return what to say where the autoscaler has come to refuse a stage for certain, else None.

        Args:
            waiting: stages that are out and have no workers yet.
            begun: stages that have them.
        """
        if not self._autoscaler or self._autoscaler.limits or begun or not autoscaler.refuses(self.each, waiting):
            return None
        needs = _listed(self._group)
        return ResourceError(
            f"the cluster's autoscaler says that it can never serve one stage, which needs {needs}: {_CHANGE}"
        )

    def __str__(self) -> str:
        """Say how many stages run at a time, and what they may have to wait for."""
        if not self._autoscaler:
            return f"{_stages(self.at_a_time(0))} at a time."
        fit = f"{_stages(self._there)} {'fits' if self._there == 1 else 'fit'} on the nodes that are up"
        if math.isfinite(self._most):
            return f"{_stages(int(self._most))} at a time, on nodes that start as they are needed; {fit}."
        return (
            f"it starts nodes as they are needed, and its limits are not known here: stages are asked for a few ahead "
            f"(--groups states how many at a time); {fit}."
        )

    @property
    def _group(self) -> dict[str, float]:
        return {name: amount * self._resources.workers for name, amount in self.each.items()}

    def _at_most(self) -> float:
        """Return the most stages at a time for the whole run; inf: `at_a_time` judges."""
        stated = self._resources.groups or math.inf
        if autoscaler.is_ours():
            return min(stated, self._there)
        if self._autoscaler is None:
            # Nodes may still join it: what is stated is believed, what is not is looked at again.
            return stated if self._there or math.isfinite(stated) else 0
        limits = self._autoscaler.limits
        if limits is None:
            return stated
        workers = self._workers_there()
        return min(stated, max(workers, limits.workers(self.each)) // self._resources.workers)

    def _stages_there(self) -> int:
        return self._workers_there() // self._resources.workers

    def _workers_there(self) -> int:
        """Return how many workers the nodes that are up have room for, node by node."""
        return sum(room_on(node["Resources"], self.each) for node in ray.nodes() if node["Alive"])

    def _refusal(self) -> ResourceError:
        has = most_of_each(self._autoscaler)
        lacking = {name: amount for name, amount in self._group.items() if has.get(name, 0.0) < amount}
        needs = ", ".join(
            f"{_amount(name, amount)} (it has {has.get(name, 0):g} at most)" for name, amount in lacking.items()
        )
        if not needs:
            workers = self._workers_there()
            if self._autoscaler and self._autoscaler.limits:
                workers = max(workers, int(self._autoscaler.limits.workers(self.each)))
            needs = (
                f"{self._resources.workers} worker(s) of {_listed(self.each)}, each on one node "
                f"(its nodes have room for {workers})"
            )
        if autoscaler.is_ours():
            share = own_cluster.share_of_machine() if "CPU" in lacking else ""
            later = f". It has {share}" if share else ""
        else:
            later = "" if self._autoscaler else ". If nodes are still to join it, say --groups 1"
        return ResourceError(f"the cluster can never serve one stage, which needs {needs}: {_CHANGE}{later}")


_CHANGE = (
    "lower resources.workers, resources.gpus_per_worker or resources.cpus_per_worker in the spec "
    "(or with --workers, --gpus-per-worker, --cpus-per-worker)"
)


def most_of_each(found: Autoscaler | None) -> dict[str, float]:
    """Return the most of each resource that the cluster can have: by its autoscaler's limits, or what is there."""
    has = {name: float(amount) for name, amount in ray.cluster_resources().items()}
    if found and found.limits:
        names = {name for kind in found.limits.kinds for name in kind.resources}
        has |= {name: max(has.get(name, 0.0), found.limits.most(name)) for name in names}
    return has


def _stages(count: int) -> str:
    return f"{count} stage{'' if count == 1 else 's'}"


def _listed(amounts: Mapping[str, float]) -> str:
    return " and ".join(_amount(name, amount) for name, amount in amounts.items())


def _amount(name: str, amount: float) -> str:
    return f"{amount:g} {name}"
