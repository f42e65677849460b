"""One worker group: a TorchTrainer of several workers that takes stage after stage.

To start a group takes 6 to 20 s, so one that has performed a stage is kept for the next stage of its trial's process,
which Tune uses again. Between two stages it holds its place on the cluster: it goes home when nothing comes for a
while, when the next stage needs another group, after an error, or with the process.

The trial only relays, so that a stop from Tune always arrives in `tune.report`, and never imports a model.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.train import FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mfsweep.errors import TrainingError
from mfsweep.run.cluster import worker_resources
from mfsweep.run.hung import Watch
from mfsweep.run.job import Job
from mfsweep.run.leaving import Notice, Stopped
from mfsweep.run.lost import Nodes, TakenOver, host_of, waiting
from mfsweep.run.mailbox import COMPLETE, Mailbox
from mfsweep.run.stage_status import CLAIMED
from mfsweep.run.worker import work
from mfsweep.spec.resources import Resources

POLL_SECONDS = 0.5
"""Between two looks at whether a worker group lives."""
IDLE_SECONDS = 10.0
"""How long a group waits for a next stage: others may want its place."""
TORCH_SECONDS = 1800
"""Within which torch itself ends a collective, at least; the ranks of a group that starts meet within it, too."""
MOST_STAGES = 200
"""Stages of one group, whose processes may grow."""


class _FixedSize(FixedScalingPolicy):
    """Ray's, which tells its coordinator of autoscaling nothing: the group's place itself is what a cluster grows for.

    What the coordinator is told holds for three minutes. After a group that dies, or ends with its run, nobody takes it
    back, and so long no node would go, and others might be started for it.
    """

    def after_controller_start(self, train_run_context: TrainRunContext) -> None:
        pass

    def _send_resource_request(self) -> None:
        pass

    def _maybe_send_resource_request(self) -> None:
        pass


class _Trainer(TorchTrainer):
    """Ray's, without its watch over the group's place on the cluster: what that does, orphans.py does.

    The watch is a detached actor for each group, which ends only after a controller that ends in peace. Of a group that
    dies, or ends with its run, it would stay on the head for as long as the cluster does, with 200 MB.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        callbacks = super()._create_default_callbacks()
        return [one for one in callbacks if not isinstance(one, PlacementGroupCleanerCallback)]

    def _initialize_and_run_controller(self, **options: Any) -> Result:
        return super()._initialize_and_run_controller(**options | {"scaling_policy": _FixedSize(self.scaling_config)})


class WorkerGroup:
    """Workers of one kind, from their start to their end.

    Args:
        resources: what each worker holds, and how many there are.
        overlay: folder of packages in front of theirs, or None.
        scratch: folder that Ray Train writes in.
    """

    def __init__(self, resources: Resources, overlay: str | None, scratch: str) -> None:
        self.kind = resources, overlay, scratch
        self.size = resources.workers
        self.step: int | None = None
        """Step of the job's last validation."""
        self.stages = 0
        """Those that it was given."""
        self.nodes: Nodes = {}
        """Where the ranks are, once they have begun."""
        self.hung = ""
        """Which ranks were ended because they hung, and why."""
        self.leaving: Notice | None = None
        """What asked its job's ranks to save their state and to end there."""
        # Beside this process: a node of the group may go, and take its actors with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = Mailbox.options(scheduling_strategy=here).remote(self.size)
        self._failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._fit, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether it has not ended yet."""
        return self._thread.is_alive()

    def perform(self, job: Job, begun: Callable[[], None], is_lost: Callable[[], bool]) -> TrainingFailedError | None:
        """Perform a stage and relay its progress; return what ended the group before the stage was done.

        A stage that is asked to leave (`leaving`) ends with its state saved, done or not.

        Args:
            job: the stage.
            begun: called in this process when all workers have begun it.
            is_lost: whether another run has taken the stage over, as this process sees it; asked at each validation.

        Raises:
            TrainingError: of a rank.
            TakenOver: it has.
            Stopped: the run is to end, and not all workers have begun the stage.
        """
        self.step = self.leaving = None
        self.stages += 1
        ray.get(self._mailbox.give.remote(job.model_dump(mode="json")))
        with Notice(lambda: self.nodes, self.kind[-1]) as notice:
            self._relay(job, begun, is_lost, notice)
        if error := ray.get(self._mailbox.error.remote()):
            raise TrainingError(error)
        if not self._failure:
            return None
        if isinstance(self._failure[0], TrainingFailedError):
            return self._failure[0]
        raise self._failure[0]

    def _relay(self, job: Job, begun: Callable[[], None], is_lost: Callable[[], bool], notice: Notice) -> None:
        """Relay a job's progress until it has ended, and what it is asked; arguments as of `perform`."""
        spoken = looked = time.monotonic()
        watch = Watch(job.resources.hung_after_s)
        complete = ended = False
        while not ended:
            looked = self._end_hung(watch, looked)
            if notice.is_end and not complete:
                raise Stopped
            if notice.came() and not self.leaving and self.is_alive:
                self.leaving = notice
                ray.get(self._mailbox.leave.remote())
            ended = not self.is_alive or ray.get(self._mailbox.all_ended.remote(0))
            for item in ray.get(self._mailbox.take.remote(0 if ended else POLL_SECONDS)) or waiting(spoken):
                if nodes := item.get(COMPLETE):
                    self.nodes, complete = nodes, True
                    begun()
                elif item.get(CLAIMED):
                    raise TakenOver
                else:
                    tune.report(item)
                    self.step = item.get("step", self.step)
                    if "step" in item and is_lost():
                        raise TakenOver
                    if job.judged and "step" in item:
                        ray.get(self._mailbox.answer.remote(job.folder.pruning() is None))
                spoken = time.monotonic()

    def _end_hung(self, watch: Watch, looked: float) -> float:
        """End the ranks that hang, with which the group fails as it does when they die; return when this was."""
        now = time.monotonic()
        if not self.hung and self.is_alive:
            hung = watch.look(ray.get(self._mailbox.pulses.remote()), now - looked)
            self.hung = "; ".join(
                f"rank {rank} of {self.size} on {host_of(self.nodes, rank)} hung: {why} (resources.hung_after_s)"
                for rank, why in sorted(hung.items())
            )
            for rank in hung:
                ray.get(self._mailbox.kill.remote(rank))
        return now

    def close(self) -> None:
        """Let the workers go home, and wait until they have."""
        if self.is_alive:
            ray.get(self._mailbox.give.remote(None))
            self._thread.join()
        ray.kill(self._mailbox)

    def kill(self) -> None:
        """End it at once: the workers fail at their next word to the mailbox."""
        ray.kill(self._mailbox)

    def _fit(self) -> None:
        try:
            self._trainer().fit()
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            self._failure.append(error)

    def _trainer(self) -> TorchTrainer:
        resources, overlay, scratch = self.kind
        return _Trainer(
            work,
            train_loop_config={"mailbox": self._mailbox},
            torch_config=TorchConfig(
                backend="nccl" if resources.gpus_per_worker else "gloo",
                # A hung rank is ended long before (hung.py). NCCL ends those that wait for it, which are not to blame.
                timeout_s=max(TORCH_SECONDS, math.ceil(2 * resources.hung_after_s)),
            ),
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus_per_worker > 0,
                resources_per_worker=worker_resources(resources),
            ),
            run_config=RunConfig(
                # Ray reads the snapshot of an earlier run of the same name: a name is used once.
                name=f"group-{uuid.uuid4().hex[:8]}",
                storage_path=scratch,
                # Replaces the variable: what the workers would have had must follow.
                worker_runtime_env={"env_vars": {"PYTHONPATH": f"{overlay}:${{PYTHONPATH}}"}} if overlay else None,
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=3),
            ),
        )


class KeptGroup:
    """The group that this process has kept from its last stage, if any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._group: WorkerGroup | None = None
        self._timer: threading.Timer | None = None

    def take(self, resources: Resources, overlay: str | None, scratch: str) -> WorkerGroup | None:
        """Return the kept group, which is the caller's then; None where there is none of this kind that lives."""
        group = self._release()
        if group is None:
            return None
        if group.kind == (resources, overlay, scratch) and group.is_alive:
            return group
        group.close()
        return None

    def keep(self, group: WorkerGroup) -> None:
        """Keep a group for a while; one that has done enough goes home."""
        if group.stages >= MOST_STAGES:
            group.close()
            return
        with self._lock:
            self._group = group
            self._timer = threading.Timer(IDLE_SECONDS, self._send_home)
            self._timer.daemon = True
            self._timer.start()

    def _send_home(self) -> None:
        if group := self._release():
            group.close()

    def _release(self) -> WorkerGroup | None:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            group, self._group, self._timer = self._group, None, None
        return group
