"""What became of a worker group that ended early: which of its nodes have gone, and which ranks died."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.train.v2.api.exceptions import PreemptionError, WorkerGroupError

from mfsweep.run.stage_trial import POLL_SECONDS, UNREACHABLE_SECONDS, is_gone, last_line

Nodes = Mapping[int, tuple[str, str]]
"""Rank -> id of its node, and host."""


class TakenOver(Exception):  # noqa: N818 (no error: it ends a trial)
    """Another run holds the stage by now: this one was stopped for so long that its lease was taken for dead."""


WORD_SECONDS = 5.0
"""Between two words of a trial that waits: only in `tune.report` can a stop reach it."""
NODE_SECONDS = 5.0
"""How long after a rank's death its node may still be shown as alive."""


def lost_nodes(error: Exception, nodes: Nodes) -> dict[str, list[int]]:
    """Return host -> ranks of a group's nodes that have gone, or were announced to go.

    Args:
        error: what ended the group.
        nodes: where its ranks were.
    """
    spoken = time.monotonic()
    deadline = spoken + (UNREACHABLE_SECONDS if _unreachable(error) else NODE_SECONDS)
    while True:
        gone: dict[str, list[int]] = {}
        for rank, (node, host) in sorted(nodes.items()):
            if is_gone(node):
                gone.setdefault(host, []).append(rank)
        if gone or time.monotonic() > deadline:
            break
        for item in waiting(spoken):
            tune.report(item)
            spoken = time.monotonic()
        time.sleep(POLL_SECONDS)
    if not gone and isinstance(error, PreemptionError):
        for rank in error.preemption_info.preempted_ranks:
            gone.setdefault(host_of(nodes, rank), []).append(rank)
    return gone


def loss(error: Exception, nodes: Nodes, workers: int, gone: Mapping[str, list[int]]) -> str:
    """Say in a line which workers were lost, where, and why.

    Args:
        error: what ended the group.
        nodes: where its ranks were.
        workers: how many there were.
        gone: what `lost_nodes` returned.
    """
    if gone:
        where = " and ".join(f"{host} with rank {', '.join(map(str, ranks))}" for host, ranks in gone.items())
        return f"lost the node {where}"
    if not isinstance(error, WorkerGroupError):
        return f"lost the worker group: {_last_line(error)}"
    # Where a rank dies, the others' collectives fail as well: it is named alone.
    failures = {rank: failure for rank, failure in error.worker_failures.items() if _died(failure)}
    return "; ".join(
        f"lost rank {rank} of {workers} on {host_of(nodes, rank)}: {_last_line(failure)}"
        for rank, failure in sorted((failures or error.worker_failures).items())
    )


def waiting(spoken: float) -> list[dict[str, Any]]:
    """Return the word of a trial that waits, if its last one is long ago."""
    return [{"waiting": True}] if time.monotonic() - spoken > WORD_SECONDS else []


def host_of(nodes: Nodes, rank: int) -> str:
    """Return the host of a rank, as it is named to a person."""
    return nodes.get(rank, ("", "an unknown node"))[1]


def _died(failure: BaseException) -> bool:
    """Return whether a rank's process ended, in place of an error of its code."""
    return isinstance(_cause(failure), RayActorError)


def _unreachable(error: Exception) -> bool:
    """Return whether a rank did not answer, of which nobody knows yet what became of it."""
    failures = error.worker_failures.values() if isinstance(error, WorkerGroupError) else ()
    return any(isinstance(_cause(failure), ActorUnavailableError) for failure in failures)


def _cause(failure: BaseException) -> BaseException:
    return getattr(failure, "health_check_failure", failure)


def _last_line(error: BaseException) -> str:
    return last_line(str(error)) or type(error).__name__
