"""A stage in a worker group: one TorchTrainer of several workers, its progress relayed to the trial.

The trial only relays, so that a stop from Tune always arrives in `tune.report`, and never imports a model. It also
judges failures: Ray counts those of a whole stage, while here those count that come without a validation in between,
and a node that went away is none. So Ray is given no second try of its own; after each failure the trial starts a new
trainer, whose workers go on from the last checkpoint.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import ray
import torch
from ray import tune
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2.api.exceptions import PreemptionError, TrainingFailedError, WorkerGroupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mfsweep.errors import MfsweepError, TrainingError
from mfsweep.records import Interruption
from mfsweep.run import disk
from mfsweep.run.cluster import worker_resources
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.run.stage_queue import LOST
from mfsweep.run.stage_trial import UNREACHABLE_SECONDS, is_gone, last_line
from mfsweep.train.loop import Progress
from mfsweep.train.world import World

POLL_SECONDS = 0.5
"""Between two looks at a worker group's progress."""
WORD_SECONDS = 5.0
"""Between two words of a trial that waits: only in `tune.report` can a stop reach it."""
TOGETHER_SECONDS = 60.0
"""How long a rank with an error waits for the others to end too, as they do when the error is one of all ranks."""
NODE_SECONDS = 5.0
"""How long after a rank's death its node may still be shown as alive."""


def perform_in_group(job: Job, scratch: str, begun: Callable[[], None]) -> None:
    """Perform a stage in worker groups, one after another as long as its failures allow.

    Args:
        job: the stage.
        scratch: folder that Ray Train writes in.
        begun: called in this process each time that a group is complete.

    Raises:
        TrainingError: a rank's own, or too many failures in a row.
        TrainingFailedError: the disk is full.
    """
    failures = 0
    step: int | None = None
    while True:
        group = _Group(job)
        error = group.fit(scratch, begun)
        if error is None:
            return
        if disk.is_full(job.folder.path):
            raise error
        if group.step is not None:
            failures, step = 0, group.step
        gone = group.lost_nodes(error)
        failures += not gone
        what = _what(error, group, gone)
        if failures > job.resources.max_failures:
            raise TrainingError(f"the group failed {failures} times without a validation in between, at last: {what}")
        count = "not counted as a failure" if gone else f"failure {failures} since the last validation"
        job.folder.say(f"{what}; the group starts again from its last checkpoint ({count})\n{error}")
        job.folder.add_interruption(Interruption(time=time.time(), step=step, what=what))
        tune.report({LOST: what})


def _what(error: Exception, group: _Group, gone: dict[str, list[int]]) -> str:
    """Say in a line which workers were lost, where, and why."""
    if gone:
        nodes = " and ".join(f"{host} with rank {', '.join(map(str, ranks))}" for host, ranks in gone.items())
        return f"lost the node {nodes}"
    if not isinstance(error, WorkerGroupError):
        return f"lost the worker group: {_last_line(error)}"
    # Where a rank dies, the others' collectives fail as well: it is named alone.
    failures = {
        rank: failure for rank, failure in error.worker_failures.items() if _died(failure)
    } or error.worker_failures
    return "; ".join(
        f"lost rank {rank} of {group.size} on {group.host(rank)}: {_last_line(failure)}"
        for rank, failure in sorted(failures.items())
    )


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


class _Group:
    """One worker group of a stage, from its start to its end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.size = job.resources.workers
        self.step: int | None = None
        """Of its last validation."""
        self._nodes: dict[int, tuple[str, str]] = {}
        """Rank -> id of its node, and host."""

    def host(self, rank: int) -> str:
        """Return where a rank ran."""
        return self._nodes.get(rank, ("", "an unknown node"))[1]

    def lost_nodes(self, error: Exception) -> dict[str, list[int]]:
        """Return host -> ranks of the group's nodes that have gone, or were announced to go."""
        spoken = time.monotonic()
        deadline = spoken + (UNREACHABLE_SECONDS if _unreachable(error) else NODE_SECONDS)
        while True:
            gone: dict[str, list[int]] = {}
            for rank, (node, host) in sorted(self._nodes.items()):
                if is_gone(node):
                    gone.setdefault(host, []).append(rank)
            if gone or time.monotonic() > deadline:
                break
            for item in _waiting(spoken):
                tune.report(item)
                spoken = time.monotonic()
            time.sleep(POLL_SECONDS)
        if not gone and isinstance(error, PreemptionError):
            for rank in error.preemption_info.preempted_ranks:
                gone.setdefault(self.host(rank), []).append(rank)
        return gone

    def fit(self, scratch: str, begun: Callable[[], None]) -> TrainingFailedError | None:
        """Start the group and relay its progress to its end; return what ended it before that.

        Raises:
            TrainingError: of a rank.
        """
        # Beside this process: a node of the group may go, and take its actors with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox: Any = Mailbox.options(scheduling_strategy=here).remote()
        failure: list[BaseException] = []
        thread = threading.Thread(target=_fit, args=(self._trainer(mailbox, scratch), failure), daemon=True)
        thread.start()
        spoken = time.monotonic()
        try:
            while thread.is_alive():
                for item in ray.get(mailbox.take.remote()) or _waiting(spoken):
                    if nodes := item.get(_COMPLETE):
                        self._nodes = nodes
                        begun()
                    else:
                        tune.report(item)
                        self.step = item.get("step", self.step)
                    spoken = time.monotonic()
                thread.join(POLL_SECONDS)
            error = ray.get(mailbox.error.remote())
        finally:
            # A stop arrives as an exception of tune.report: the workers then fail at their next word to the mailbox.
            ray.kill(mailbox)
        if error:
            raise TrainingError(error)
        if not failure:
            return None
        if isinstance(failure[0], TrainingFailedError):
            return failure[0]
        raise failure[0]

    def _trainer(self, mailbox: Any, scratch: str) -> TorchTrainer:
        job, resources = self._job, self._job.resources
        return TorchTrainer(
            _worker,
            train_loop_config={"job": job.model_dump(mode="json"), "mailbox": mailbox},
            torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus_per_worker > 0,
                resources_per_worker=worker_resources(resources),
            ),
            run_config=RunConfig(
                # Ray reads the snapshot of an earlier run of the same name: a name is used once.
                name=f"{job.training.key}-{uuid.uuid4().hex[:8]}",
                storage_path=scratch,
                # Replaces the variable: what the workers would have had must follow.
                worker_runtime_env=(
                    {"env_vars": {"PYTHONPATH": f"{job.overlay}:${{PYTHONPATH}}"}} if job.overlay else None
                ),
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=3),
            ),
        )


def _waiting(spoken: float) -> list[dict[str, Any]]:
    return [{"waiting": True}] if time.monotonic() - spoken > WORD_SECONDS else []


def _fit(trainer: TorchTrainer, failure: list[BaseException]) -> None:
    try:
        trainer.fit()
    except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
        failure.append(error)


def _worker(config: dict[str, Any]) -> None:
    """Perform the stage as one rank of its group; what Ray Train calls on every worker.

    An MfsweepError of every rank ends the group at once, as if it had gone well: the trial reads it in the mailbox. An
    error of one rank must end the others too, which wait for it in a collective: it is raised.
    """
    job = Job.model_validate(config["job"])
    torch.set_num_threads(max(1, int(job.resources.cpus_per_worker)))
    context = get_context()
    world = World(context.get_world_rank(), context.get_world_size(), get_device())

    mailbox = config["mailbox"]

    def report(progress: Progress) -> bool:
        # Waiting for the answer makes a stage whose trial is gone end here.
        ray.get(mailbox.put.remote(progress._asdict()))
        return True

    runtime = ray.get_runtime_context()
    ray.get(mailbox.begin.remote(world.rank, world.size, (runtime.get_node_id(), ray.util.get_node_ip_address())))
    try:
        perform(job, world, report)
    except MfsweepError as error:
        ray.get(mailbox.end.remote(world.rank, str(error)))
        if not _all_ended(mailbox, world.size):
            raise
    else:
        ray.get(mailbox.end.remote(world.rank, None))


def _all_ended(mailbox: Any, ranks: int) -> bool:
    """Return whether all ranks end within a while."""
    deadline = time.monotonic() + TOGETHER_SECONDS
    while time.monotonic() < deadline:
        if ray.get(mailbox.ended.remote()) == ranks:
            return True
        time.sleep(POLL_SECONDS)
    return False


_COMPLETE = "complete"
"""Key of the item that says that all ranks have begun: rank -> its node's id, and host."""


@ray.remote(num_cpus=0)
class Mailbox:
    """Carries a group's progress and errors to its trial."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.nodes: dict[int, tuple[str, str]] = {}
        self.ends: dict[int, str | None] = {}
        """Rank -> the text of the error that ended it, or None."""

    def put(self, item: dict[str, Any]) -> None:
        """Add a progress."""
        self.items.append(item)

    def take(self) -> list[dict[str, Any]]:
        """Return and forget what was added."""
        items, self.items = self.items, []
        return items

    def begin(self, rank: int, ranks: int, node: tuple[str, str]) -> None:
        """Note where a rank has begun, of so many."""
        self.nodes[rank] = node
        if len(self.nodes) == ranks:
            self.items.append({_COMPLETE: self.nodes})

    def end(self, rank: int, error: str | None) -> None:
        """Note that a rank has ended, and with which error."""
        self.ends[rank] = error

    def ended(self) -> int:
        """Return how many ranks have ended."""
        return len(self.ends)

    def error(self) -> str | None:
        """Return the error of the lowest rank that has one."""
        return next((error for _, error in sorted(self.ends.items()) if error is not None), None)
