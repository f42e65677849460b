"""The trial of one stage: a Tune function that runs one TorchTrainer.

One worker: the trainer runs in the trial's own process (`num_workers=0`), which Tune reuses for the next stage, so that
imports, data and edges are paid for once. Several workers: a real worker group; the trial then only relays its
progress, so that a stop from Tune always arrives in `tune.report`.

An error that training raises would come again: it is written to the stage's log and the trial ends normally, undone.
Only a process that dies is started again (`max_failures`), from the stage's last checkpoint.
"""

from __future__ import annotations

import contextlib
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

from mfsweep.errors import MfsweepError
from mfsweep.run.cluster import worker_resources
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.run.stage_queue import ENDED
from mfsweep.train.loop import Progress
from mfsweep.train.world import World

POLL_SECONDS = 0.5
"""Between two looks at a worker group's progress."""


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
            failure_config=FailureConfig(max_failures=resources.max_failures, controller_failure_limit=3),
        ),
    )
    failure: list[BaseException] = []
    thread = threading.Thread(target=_fit, args=(trainer, failure), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            for progress in ray.get(mailbox.take.remote()):
                tune.report(progress)
            thread.join(POLL_SECONDS)
    finally:
        # A stop arrives as an exception of tune.report: the workers then fail at their next word to the mailbox.
        ray.kill(mailbox)
    if failure:
        raise failure[0]


def _fit(trainer: TorchTrainer, failure: list[BaseException]) -> None:
    try:
        trainer.fit()
    except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
        failure.append(error)


def _worker(config: dict[str, Any]) -> None:
    """Perform the stage as one rank of its group; what Ray Train calls on every worker."""
    job = Job.model_validate(config["job"])
    torch.set_num_threads(max(1, int(job.resources.cpus_per_worker)))
    context = get_context()
    world = World(context.get_world_rank(), context.get_world_size(), get_device())

    def report(progress: Progress) -> bool:
        # Waiting for the answer makes a stage whose trial is gone end here.
        ray.get(config["mailbox"].put.remote(progress._asdict()))
        return True

    perform(job, world, report)


@ray.remote(num_cpus=0)
class Mailbox:
    """Carries a group's progress to its trial."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def put(self, item: dict[str, Any]) -> None:
        """Add a progress."""
        self.items.append(item)

    def take(self) -> list[dict[str, Any]]:
        """Return and forget what was added."""
        items, self.items = self.items, []
        return items


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
    """Write the stage's begin, end and any error to its log; an error ends here."""
    log = job.folder.log
    log.parent.mkdir(parents=True, exist_ok=True)
    _write(log, f"stage {job.name} starts with {job.resources.workers} worker(s)")
    try:
        yield
    except MfsweepError as error:
        _write(log, f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 (one stage's failure is its own: the sweep goes on and names this log)
        _write(log, traceback.format_exc())
    else:
        _write(log, "done")


def _write(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
