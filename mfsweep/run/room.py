"""Which stages may be out at a time: as many as the cluster has, or may come to have, room for side by side.

    no autoscaler           what fits on the nodes that are up, looked at again as nodes come and go
    one with known limits   what fits on the cluster at its largest: groups that wait are the demand it grows by
    one that hides them     a few more than have begun, so that it goes on growing as long as it can

A stage that waits for its workers holds nothing of theirs. What a spec states (`resources.groups`) is believed.
What other sweeps on the cluster are to have is the business of run/shares.py.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping

import ray

from mfsweep.errors import ResourceError
from mfsweep.run import autoscaler, own_cluster
from mfsweep.run.autoscaler import Autoscaler
from mfsweep.run.cluster import worker_resources
from mfsweep.run.shapes import StageShape, fit, fit_within, room_on
from mfsweep.run.shares import FairShare
from mfsweep.spec.resources import Resources

AHEAD = 2, 8
"""Stages asked for beyond those that have begun where the limits are not known: as many as have begun, within this."""
LOOK_SECONDS = 10.0
"""Between two looks at the nodes that are up."""
PATIENCE_SECONDS = 60.0
"""How long a stage may wait for its workers while others overtake it, on nodes that are up."""
NODE_SECONDS = 600.0
"""The same where a node may have to be started for it."""


def shape_of(resources: Resources) -> StageShape:
    """Return what a stage holds."""
    return StageShape(resources.workers, tuple(worker_resources(resources).items()))


class Room:
    """The room that one run has on the cluster that it is connected to."""

    def __init__(self, stages: Mapping[str, Resources]) -> None:
        """Look at the cluster.

        Args:
            stages: what is given to the stages of each kind, by what these are called.

        Raises:
            ResourceError: the cluster can certainly never serve stages of some kind.
        """
        self._called: dict[StageShape, str] = {}
        for called, resources in stages.items():
            self._called.setdefault(shape_of(resources), called)
        self._stated = min((own.groups or math.inf for own in stages.values()), default=math.inf)
        self._autoscaler = autoscaler.find()
        self._is_ours = autoscaler.is_ours()
        self._share = None if self._is_ours else FairShare()
        self._look_at_nodes()
        for shape in self._called:
            if not self._at_most(shape):
                raise self._refusal(shape)

    @property
    def patience(self) -> float:
        """Return the seconds for which a stage may wait for its workers while others overtake it."""
        return NODE_SECONDS if self._autoscaler else PATIENCE_SECONDS

    def admits(self, shape: StageShape, out: Mapping[StageShape, int], begun: int) -> bool:
        """Return whether a stage may be handed out beside others.

        Args:
            shape: what it holds.
            out: what those hold that are out -> how many of them.
            begun: how many of them have their workers.
        """
        number = sum(out.values())
        if number >= self._stated:
            return False
        if not self._is_known:
            return math.isfinite(self._stated) or number < _ahead(begun)
        # What lost the only node that it fits on waits for another, and takes no room meanwhile.
        held = {own: count for own, count in out.items() if self.serves(own)}
        return self._fit({**held, shape: held.get(shape, 0) + 1})

    def serves(self, shape: StageShape) -> bool:
        """Return whether there is room for a stage where nothing else is out, as far as is known."""
        return not self._is_known or self._fit({shape: 1})

    def has_turn(self, shape: StageShape, out: Mapping[StageShape, int], begun: Mapping[StageShape, int]) -> bool:
        """Return whether a stage may take room from other sweeps on the cluster.

        Args:
            shape: what it holds.
            out: what the stages hold that are out -> how many of them.
            begun: the same of those that have their workers.
        """
        if self._share is None:
            return True
        # Where a cluster grows with what waits, waiting stages take nothing from anyone.
        counted = out if self._is_known else begun
        then = {**counted, shape: counted.get(shape, 0) + 1}
        allotment = self._share.allotment
        return allotment.allows(self._part(counted), self._part(then)) or (not self._is_known and allotment.is_first)

    def tell(
        self, ready: Mapping[StageShape, int], out: Mapping[StageShape, int], begun: Mapping[StageShape, int]
    ) -> None:
        """Tell the other sweeps on the cluster what this one holds and wants; not to be waited for.

        Args:
            ready: what the stages would hold that can go -> how many of them.
            out: the same of those that are out.
            begun: of those that have their workers.
        """
        if self._share is None:
            return
        more = ready if sum(out.values()) < self._stated else {}
        self._share.tell(lambda: (self._part(begun), self._part(Counter(out) + Counter(more))))

    def leave(self) -> None:
        """Tell them that it has ended."""
        if self._share is not None:
            self._share.leave()

    def _part(self, stages: Mapping[StageShape, int]) -> float:
        """Return the part of the cluster that stages hold, of the resource of which they hold most."""
        held: dict[str, float] = {}
        for shape, count in stages.items():
            for name, amount in shape.whole.items():
                held[name] = held.get(name, 0.0) + amount * count
        return max((amount / self._has[name] for name, amount in held.items() if self._has.get(name)), default=0.0)

    def at_a_time(self, begun: int, shape: StageShape | None = None) -> int:
        """Return how many stages of one shape may be out where there are no others.

        Args:
            begun: how many of them have their workers.
            shape: what each holds; default: that of the first kind.
        """
        shape = shape or next(iter(self._called))
        most = self._at_most(shape)
        if math.isfinite(most):
            return max(1, int(most))
        return _ahead(begun)

    def refused(self, waiting: Mapping[StageShape, int], begun: int) -> ResourceError | None:
        """Return what to say where the autoscaler has come to refuse all that waits for certain, else None.

        Args:
            waiting: what the stages hold that are out and have no workers yet -> how many of them.
            begun: stages that have them.
        """
        if not self._autoscaler or self._autoscaler.limits or begun or not waiting:
            return None
        if not all(autoscaler.refuses(dict(shape.each), count) for shape, count in waiting.items()):
            return None
        shape = next(iter(waiting))
        return ResourceError(
            f"the cluster's autoscaler says that it can never serve {self._one(shape)}, which needs "
            f"{_listed(shape.whole)}: {_CHANGE}"
        )

    def __str__(self) -> str:
        """Say how many stages run at a time, and what they may have to wait for."""
        first, *others = self._called
        there = ", ".join(self._said(shape, self._stages_there(shape)) for shape in self._called)
        fit = f"{there} {'fits' if not others and self._stages_there(first) == 1 else 'fit'} on the nodes that are up"
        if self._autoscaler and not self._is_known and not math.isfinite(self._stated):
            return (
                f"it starts nodes as they are needed, and its limits are not known here: stages are asked for a few "
                f"ahead (--groups states how many at a time); {fit}."
            )
        most = " or ".join(self._said(shape, self.at_a_time(0, shape)) for shape in self._called)
        most += " at a time" + (", or fewer of each side by side" if others else "")
        return f"{most}, on nodes that start as they are needed; {fit}." if self._autoscaler else f"{most}."

    def _said(self, shape: StageShape, count: int) -> str:
        return _stages(count) + (f" of {self._called[shape]}" if len(self._called) > 1 else "")

    def _one(self, shape: StageShape) -> str:
        return f"a stage of {self._called[shape]}" if len(self._called) > 1 and shape in self._called else "one stage"

    @property
    def _is_known(self) -> bool:
        """Return whether the nodes are known on which all has to fit."""
        if self._is_ours:
            return True
        if self._autoscaler:
            return self._autoscaler.limits is not None and self._autoscaler.limits.are_finite
        # Nodes may still join it: what is stated is believed, what is not is looked at again.
        return not math.isfinite(self._stated)

    def _fit(self, stages: Mapping[StageShape, int]) -> bool:
        self._look()
        limits = self._autoscaler.limits if self._autoscaler else None
        return fit(self._nodes, stages) or (limits is not None and fit_within(limits, stages))

    def _at_most(self, shape: StageShape) -> float:
        """Return the most stages of one shape at a time; inf: nobody knows."""
        limits = self._autoscaler.limits if self._autoscaler else None
        if not self._is_known and limits is None:
            return self._stated
        workers = self._workers_there(shape)
        if limits:
            workers = max(workers, limits.workers(dict(shape.each)))
        return min(self._stated, workers // shape.workers)

    def _stages_there(self, shape: StageShape) -> int:
        return self._workers_there(shape) // shape.workers

    def _workers_there(self, shape: StageShape) -> int:
        """Return how many workers the nodes that are up have room for, node by node."""
        self._look()
        return sum(room_on(node, dict(shape.each)) for node in self._nodes)

    def _look(self) -> None:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look_at_nodes()

    def _look_at_nodes(self) -> None:
        self._nodes, self._has, self._looked = _nodes(), most_of_each(self._autoscaler), time.monotonic()

    def _refusal(self, shape: StageShape) -> ResourceError:
        has = self._has
        lacking = {name: amount for name, amount in shape.whole.items() if has.get(name, 0.0) < amount}
        needs = ", ".join(
            f"{_amount(name, amount)} (it has {has.get(name, 0):g} at most)" for name, amount in lacking.items()
        )
        if not needs:
            workers = self._workers_there(shape)
            if self._autoscaler and self._autoscaler.limits:
                workers = max(workers, int(self._autoscaler.limits.workers(dict(shape.each))))
            needs = (
                f"{shape.workers} worker(s) of {_listed(dict(shape.each))}, each on one node "
                f"(its nodes have room for {workers})"
            )
        if self._is_ours:
            share = own_cluster.share_of_machine() if "CPU" in lacking else ""
            later = f". It has {share}" if share else ""
        else:
            later = "" if self._autoscaler else ". If nodes are still to join it, say --groups 1"
        return ResourceError(f"the cluster can never serve {self._one(shape)}, which needs {needs}: {_CHANGE}{later}")


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


def _nodes() -> list[dict[str, float]]:
    """Return what each node has that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _ahead(begun: int) -> int:
    few, many = AHEAD
    return begun + min(max(begun, few), many)


def _stages(count: int) -> str:
    return f"{count} stage{'' if count == 1 else 's'}"


def _listed(amounts: Mapping[str, float]) -> str:
    return " and ".join(_amount(name, amount) for name, amount in amounts.items())


def _amount(name: str, amount: float) -> str:
    return f"{amount:g} {name}"
