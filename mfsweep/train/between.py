"""Checkpoints between validations: when one is due, and the thread that writes it.

A period ends early only where rank 0 finds that a checkpoint is due, or any rank that its machine is about to go. What
several ranks have to agree on is asked every few seconds, not at every step. What is saved is copied first: a thread
writes the copy while the steps go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from mfsweep.metrics_file import append
from mfsweep.train.checkpoint import save_state
from mfsweep.train.world import World

LOOK_SECONDS = 2.0
"""Between two looks of several ranks, about."""


class Unvalidated(NamedTuple):
    """What the steps since the last validation gave. K steps, M label methods."""

    losses: NDArray[np.float64]
    """(K, M) sums over structures of the loss, over all ranks."""
    counts: NDArray[np.int64]
    """(K, M) structures, over all ranks."""
    seconds: float
    """How long they took, resumed parts summed."""

    @property
    def mean_loss(self) -> float:
        """Return the mean loss of all structures."""
        return float(self.losses.sum() / self.counts.sum())

    @property
    def structures_per_second(self) -> float:
        """Return the speed."""
        return float(self.counts.sum() / self.seconds)

    def state(self) -> dict[str, Any]:
        """Return plain data and tensors."""
        return {**self._asdict(), "losses": torch.from_numpy(self.losses), "counts": torch.from_numpy(self.counts)}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Unvalidated:
        """Return what `state` was taken of."""
        return cls(state["losses"].numpy(), state["counts"].numpy(), state["seconds"])


class Due:
    """Whether the steps are to pause for a checkpoint, the same on every rank.

    Args:
        minutes: between two checkpoints, by rank 0's clock; 0: none is ever due.
        world: this rank among its group.
        busy: whether rank 0 still writes the one before: then the next waits.
    """

    def __init__(self, minutes: float, world: World, busy: Callable[[], bool] = lambda: False) -> None:
        self._seconds = 60 * minutes
        self._world = world
        self._busy = busy
        self._saved = self._looked = time.monotonic()
        self._every = self._left = 1
        """Steps between two looks, and until the next."""
        self.is_leaving = False
        """Whether a rank's machine was found to be about to go."""

    def saved(self) -> None:
        """Begin to wait anew: a checkpoint was made."""
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the steps pause after the next one; asked before each, on every rank."""
        self._left -= 1
        if self._left:
            return False
        now = time.monotonic()
        due = 0 < self._seconds <= now - self._saved and not self._busy()
        if self._world.size == 1:
            self._left, self.is_leaving = 1, self._world.is_leaving()
            return due or self.is_leaving
        # At most twice as many as before: the first steps of a training may take much longer than the others.
        wanted = min(LOOK_SECONDS, self._seconds or LOOK_SECONDS)
        self._every = max(1, min(2 * self._every, round(self._every * wanted / max(now - self._looked, 1e-9))))
        self._looked = now
        of_first = [due, self._every] if self._world.rank == 0 else [0, 0]
        asked = torch.tensor([self._world.is_leaving(), *of_first], dtype=torch.int64, device=self._world.device)
        self._world.sum_(asked)
        leaving, save_now, self._left = asked.tolist()
        self.is_leaving = leaving > 0
        return save_now > 0 or self.is_leaving


class StateWriter:
    """Writes checkpoints in a thread, one after another. Use as a context manager around the training.

    Whatever is written to the metrics file or to last.pt meanwhile has to `wait` first.

    Args:
        metrics: the metrics file.
        last: the checkpoint.
        is_lost: whether both are another run's by now; asked in the thread, and nothing is written then.
    """

    def __init__(self, metrics: Path, last: Path, is_lost: Callable[[], bool] = lambda: False) -> None:
        self._metrics = metrics
        self._last = last
        self._is_lost = is_lost
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mfsweep-checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until the thread has ended: a checkpoint that was begun is whole."""
        self._thread.shutdown(wait=True)

    @property
    def is_busy(self) -> bool:
        """Return whether one is being written."""
        return self._writing is not None and not self._writing.done()

    def begin(self, lines: list[str], content: dict[str, Any]) -> None:
        """Add lines to the metrics file and then write a checkpoint of the same step, in the thread.

        Args:
            lines: of the steps since those that are there.
            content: the state, of which nothing changes any more.

        Raises:
            OSError: the one before could not be written.
        """
        self.wait()
        self._writing = self._thread.submit(self._write, lines, content)

    def wait(self) -> None:
        """Wait for the one that is being written.

        Raises:
            OSError: it could not be.
        """
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _write(self, lines: list[str], content: dict[str, Any]) -> None:
        if not self._is_lost():
            append(self._metrics, lines)
            save_state(self._last, content)
