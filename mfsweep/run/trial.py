"""The trial of one stage: a Tune function that runs one TorchTrainer.

One worker: the trainer runs in the trial's own process (`num_workers=0`), which Tune reuses for the next stage, so that
imports, data and edges are paid for once. Several workers: a real worker group; the trial then only relays its
progress, so that a stop from Tune always arrives in `tune.report`, and never imports a model.

An architecture with packages of its own finds them in its overlay, in front of the import path of whoever trains it.

An MfsweepError would come again: it is written to the stage's log and the trial ends normally, undone. After anything
else, a process that died or an error that nobody foresaw (a CUDA context that is lost, a disk that was away for a
moment), the stage is started again in a new process (`max_failures`), from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2.api.exceptions import TrainingFailedError

from mfsweep.errors import MfsweepError, TrainingError
from mfsweep.run.cluster import worker_resources
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.run.stage_queue import ENDED
from mfsweep.train.loop import Progress
from mfsweep.train.world import World

POLL_SECONDS = 0.5
"""Between two looks at a worker group's progress."""
WORD_SECONDS = 5.0
"""Between two words of a trial that waits: only in `tune.report` can a stop reach it."""
TOGETHER_SECONDS = 60.0
"""How long a rank with an error waits for the others to end too, as they do when the error is one of all ranks."""


def run_stage(config: dict[str, Any]) -> None:
    """Perform the stage `config["job"]` (a dumped Job); what Tune calls."""
    job = Job.model_validate(config["job"])
    with _logged(job), _claimed(job):
        if job.resources.workers == 1:
            _in_process(job)
        else:
            _in_group(job, config["scratch"])
    tune.report({ENDED: True})


def _in_process(job: Job) -> None:
    if job.overlay and job.overlay not in sys.path:
        assert "e3nn" not in sys.modules, "architectures with different packages never share a process"
        sys.path.insert(0, job.overlay)

    def report(progress: Progress) -> bool:
        tune.report(progress._asdict())
        return True

    def loop() -> None:
        torch.set_num_threads(max(1, int(job.resources.cpus_per_worker)))
        device = "cuda" if job.resources.gpus_per_worker else "cpu"
        perform(job, World.alone(device), report)

    TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=0)).fit()


def _in_group(job: Job, scratch: str) -> None:
    mailbox: Any = Mailbox.remote()
    resources = job.resources
    trainer = TorchTrainer(
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
            worker_runtime_env={"env_vars": {"PYTHONPATH": f"{job.overlay}:${{PYTHONPATH}}"}} if job.overlay else None,
            failure_config=FailureConfig(max_failures=resources.max_failures, controller_failure_limit=3),
        ),
    )
    failure: list[BaseException] = []
    thread = threading.Thread(target=_fit, args=(trainer, failure), daemon=True)
    thread.start()
    spoken = time.monotonic()
    error = None
    try:
        while thread.is_alive():
            for progress in ray.get(mailbox.take.remote()) or _waiting(spoken):
                tune.report(progress)
                spoken = time.monotonic()
            thread.join(POLL_SECONDS)
        error = ray.get(mailbox.error.remote())
    finally:
        # A stop arrives as an exception of tune.report: the workers then fail at their next word to the mailbox.
        ray.kill(mailbox)
    if error:
        raise TrainingError(error)
    if failure and isinstance(failure[0], TrainingFailedError):
        raise TrainingError(f"the group failed {resources.max_failures + 1} times, at last with {failure[0]}")
    if failure:
        raise failure[0]


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

    ray.get(mailbox.begin.remote(world.rank))
    world.sum_(torch.zeros(1, device=world.device))  # all have begun: nothing of a group before this one counts
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


@ray.remote(num_cpus=0)
class Mailbox:
    """Carries a group's progress and errors to its trial."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.ends: dict[int, str | None] = {}
        """Rank -> the text of the error that ended it, or None."""

    def put(self, item: dict[str, Any]) -> None:
        """Add a progress."""
        self.items.append(item)

    def take(self) -> list[dict[str, Any]]:
        """Return and forget what was added."""
        items, self.items = self.items, []
        return items

    def begin(self, rank: int) -> None:
        """Forget how a rank ended in an earlier group."""
        self.ends.pop(rank, None)

    def end(self, rank: int, error: str | None) -> None:
        """Note that a rank has ended, and with which error."""
        self.ends[rank] = error

    def ended(self) -> int:
        """Return how many ranks have ended."""
        return len(self.ends)

    def error(self) -> str | None:
        """Return the error of the lowest rank that has one."""
        return next((error for _, error in sorted(self.ends.items()) if error is not None), None)


@contextlib.contextmanager
def _claimed(job: Job) -> Iterator[None]:
    """Wait while another sweep on this store performs the stage; what it recorded is then not done again."""
    while True:
        with job.folder.claim() as mine:
            if mine:
                yield
                return
        tune.report({"waiting": True})
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _logged(job: Job) -> Iterator[None]:
    """Write the stage's begin, end and any error to its log; an MfsweepError ends here."""
    log = job.folder.log
    log.parent.mkdir(parents=True, exist_ok=True)
    _write(log, f"stage {job.name} starts with {job.resources.workers} worker(s)")
    try:
        yield
    except MfsweepError as error:
        _write(log, f"{type(error).__name__}: {error}")
    except Exception:
        _write(log, traceback.format_exc())
        raise
    else:
        _write(log, "done")


def _write(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
