"""One rank of a training, run by tests in a process of its own (not a test; see the `ranks` fixture).

Takes from `init_globals` of runpy: training_json, source, folder, rank, size, port, parent, kill_at, device, execution,
leave_at.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path

import torch

import mfsweep.train.steps
from mfsweep.data.view import open_view
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import Training
from mfsweep.train import World, train


def kill_at_batch(number: int) -> None:
    """Let this process kill itself when it assembles its `number`-th batch from now."""
    assemble, count = mfsweep.train.steps.assemble, 0

    def counted(*args, **options):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return assemble(*args, **options)

    mfsweep.train.steps.assemble = counted


def leaving_at(look: int, rank: int):
    """Return what the last rank says of its machine: it goes from the `look`-th look on."""
    looks = itertools.count(1)
    return lambda: next(looks) >= look and rank > 0


def main(*, training_json, source, folder, parent, rank, size, port, kill_at, device, execution, leave_at) -> None:
    torch.set_num_threads(1)
    if size > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    if kill_at:
        kill_at_batch(kill_at)
    training = Training.model_validate_json(training_json)
    folder = Path(folder)
    world = World(rank, size, torch.device(device))
    if leave_at:
        world = world._replace(is_leaving=leaving_at(leave_at, rank))
    outcome = train(
        training,
        open_view({"": Path(source)}, training.data),
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        parent=Path(parent) if parent else None,
        world=world,
        report=lambda _: True,
        execution=Execution.model_validate_json(execution),
    )
    if outcome:
        (folder / f"outcome.{rank}.json").write_text(json.dumps(outcome._replace(seconds=0.0)._asdict()))
    if size > 1:
        torch.distributed.destroy_process_group()


main(**{name: globals()[name] for name in main.__code__.co_varnames[: main.__code__.co_kwonlyargcount]})
