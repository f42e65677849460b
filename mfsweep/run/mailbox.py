"""Carries jobs from a stage's trial to the ranks of its worker group, and their progress and ends back.

An actor of its own: Ray Train gives no way to speak with a running group. A worker that waits here waits in no
collective, so that it may do so for as long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray

from mfsweep.run.hung import Pulse

COMPLETE = "complete"
"""Key of the item that says that all ranks have begun a job: rank -> its node's id, and host."""


@ray.remote(num_cpus=0)
class Mailbox:
    """Holds one job at a time.

    Args:
        ranks: workers of the group.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self._jobs: list[dict[str, Any] | None] = []
        """All jobs so far; None ends the group."""
        self._items: list[dict[str, Any]] = []
        self._nodes: dict[int, tuple[str, str]] = {}
        self._workers: dict[int, Any] = {}
        self._pulses: dict[int, Pulse] = {}
        self._ends: dict[int, str | None] = {}
        """Rank -> the text of the error that ended the job there, or None."""
        self._leaves = False
        self._answers: list[bool] = []
        """To the progress of a job that a search judges: whether it goes on."""
        self._changed = asyncio.Condition()

    async def give(self, job: dict[str, Any] | None) -> None:
        """Give the group its next job, a dumped one; None lets the workers go home."""
        self._jobs.append(job)
        self._items, self._nodes, self._ends, self._answers, self._pulses = [], {}, {}, [], {}
        self._leaves = False
        await self._tell()

    async def job(self, number: int) -> dict[str, Any] | None:
        """Wait for the job of this number, from 0, and return it."""
        await self._until(lambda: len(self._jobs) > number)
        return self._jobs[number]

    async def put(self, item: dict[str, Any]) -> None:
        """Add a progress."""
        self._items.append(item)
        await self._tell()

    async def answer(self, goes_on: bool) -> None:
        """Answer a progress: whether the job goes on."""
        self._answers.append(goes_on)
        await self._tell()

    async def answered(self) -> bool:
        """Wait for the answer to a progress, and return and forget it."""
        await self._until(lambda: bool(self._answers))
        return self._answers.pop(0)

    async def take(self, seconds: float) -> list[dict[str, Any]]:
        """Return and forget what was added; wait a while for it, or for the job's end."""
        await self._until(lambda: bool(self._items) or self._is_done(), seconds)
        items, self._items = self._items, []
        return items

    async def begin(self, rank: int, node: tuple[str, str], worker: Any) -> None:
        """Note where a rank has begun the job: its node's id, and host; and its actor."""
        self._nodes[rank] = node
        self._workers[rank] = worker
        if len(self._nodes) == self._ranks:
            await self.put({COMPLETE: self._nodes})

    async def beat(self, rank: int, pulse: Pulse) -> bool:
        """Note a rank's pulse; return whether the group is to save its state and to end the job."""
        self._pulses[rank] = pulse
        return self._leaves

    async def leave(self) -> None:
        """Let the ranks save their state and end the job where it is."""
        self._leaves = True

    async def pulses(self) -> dict[int, Pulse]:
        """Return the last pulse of each rank that is at the job, once all ranks have begun it."""
        begun = len(self._nodes) == self._ranks
        return {rank: pulse for rank, pulse in self._pulses.items() if begun and rank not in self._ends}

    async def kill(self, rank: int) -> None:
        """End the process of a rank, however it hangs: the others fail in their collective then."""
        ray.kill(self._workers[rank])

    async def end(self, rank: int, error: str | None) -> None:
        """Note that a rank has ended the job, and with which error."""
        self._ends[rank] = error
        await self._tell()

    async def all_ended(self, seconds: float) -> bool:
        """Wait a while for all ranks to end the job; return whether they did."""
        await self._until(self._is_done, seconds)
        return self._is_done()

    async def error(self) -> str | None:
        """Return the error of the lowest rank that has one."""
        return next((error for _, error in sorted(self._ends.items()) if error is not None), None)

    def _is_done(self) -> bool:
        return len(self._ends) == self._ranks

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, true: Callable[[], bool], seconds: float | None = None) -> None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(true), seconds)
            except TimeoutError:
                return
