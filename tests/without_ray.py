"""Sweeps without Ray: the queue, the trials and all around them are the real ones; what Ray and Tune do is done here.

A worker process takes seconds of CPU to start, and a cluster as much again. A test whose subject is neither runs its
stages in the test's own process, one after another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
from ray.tune.experiment import Trial

from mfsweep.data import view
from mfsweep.run import stage_queue, sweep, trial, watcher
from mfsweep.sweep import running

PATIENCE_SECONDS = 60.0
"""How long nothing may be ready though the queue is not finished: another sweep performs what is left."""


def run_in_process(patch: pytest.MonkeyPatch) -> None:
    """Have all sweeps of this process trained in it, as long as a patch lasts."""
    patch.setattr(running, "Room", _Room)
    patch.setattr(running.cluster, "connected", lambda **_: contextlib.nullcontext("this process"))
    patch.setattr(running.orphans, "release_leaked", lambda: 0)
    patch.setattr(watcher, "LOOK_SECONDS", float("inf"))
    patch.setattr(stage_queue.StageQueue, "_trial", lambda queue, key: _Trial(key, queue._config(key)))
    patch.setattr(sweep, "_tune", _tune)
    here = SimpleNamespace(get_node_id=lambda: "here")
    patch.setattr(trial.ray, "get_runtime_context", lambda: here)
    patch.setattr(trial.ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    patch.setattr(trial, "TorchTrainer", lambda loop, **_: SimpleNamespace(fit=loop))
    patch.setattr(trial, "Notice", _Notice)


class _Room:
    """There is room for one stage at a time, and no other sweep."""

    patience = float("inf")

    def __init__(self, _: object) -> None:
        pass

    def admits(self, _: object, out: Mapping[Any, int], __: int) -> bool:
        return not sum(out.values())

    def serves(self, _: object) -> bool:
        return True

    def has_turn(self, *_: object) -> bool:
        return True

    def tell(self, *_: object) -> None:
        pass

    def leave(self) -> None:
        pass

    def refused(self, *_: object) -> None:
        return None


class _Trial:
    """What the queue and the watcher know of Tune's."""

    def __init__(self, key: str, config: dict[str, Any]) -> None:
        self.config = {"key": key, **config}
        self.trial_id, self.node = key, "here"
        self.status = Trial.RUNNING
        self.last_result: dict[str, Any] = {}

    def is_finished(self) -> bool:
        return self.status == Trial.TERMINATED

    def validated(self) -> None:
        """Forget no failures: there are none that are tried again."""


class _Notice:
    """Nothing asks a stage of this process to leave."""

    going, is_end = None, False

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def came(self) -> bool:
        return False


def _tune(queue: Any, watching: Any, scratch: Any, *, in_groups: Callable[[], bool]) -> bool:
    """Do what Tune does: take trials from the queue, run them, and tell the watcher what they report."""
    assert not in_groups(), "a group of workers needs Ray"
    view._views.cache_clear()  # a worker process of another sweep has read nothing yet
    threads, deadline = torch.get_num_threads(), time.monotonic() + PATIENCE_SECONDS
    try:
        while not queue.is_finished():
            assert time.monotonic() < deadline, "nothing was ready for a minute"
            if (own := queue.next_trial()) is None:
                time.sleep(0.05)
                continue
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(trial.tune, "report", lambda result, own=own: _report(watching, own, result))
                trial.run_stage(own.config)
            own.status = Trial.TERMINATED
            watching.on_step_end(0, [])
            deadline = time.monotonic() + PATIENCE_SECONDS
        watching.on_step_end(0, [])
    finally:
        torch.set_num_threads(threads)
    return False


def _report(watching: Any, own: _Trial, result: dict[str, Any]) -> None:
    own.last_result = result
    watching.on_trial_result(0, [], own, result)
