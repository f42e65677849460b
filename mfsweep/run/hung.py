"""Which rank of a worker group hangs: one that the others wait for, or of which nothing is heard.

A rank that hangs ends nothing: the others wait for it in a collective (a sum over the ranks, for instance), and Ray and
torch notice only after ten to thirty minutes. So each rank sends a pulse: how often it has beaten, and how many
collectives it has entered. A stopped process beats no more; one that is stuck beats, and the others are ahead of it.

Time counts only between two looks of a process that looks all the time: one that was itself held up blames nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import ray
from ray.exceptions import RayError

BEATS = 10
"""Pulses within the limit, at least."""
BEAT_SECONDS = 2.0
"""Between two pulses, at most."""
LONGEST_LOOK = 2.0
"""Seconds that count between two looks, at most."""


class Pulse(NamedTuple):
    """What a rank has said of itself."""

    beats: int
    entered: int
    """Collectives so far."""


class Heart:
    """Sends this rank's pulse. Use as a context manager around a job.

    Args:
        mailbox: of the group.
        rank: this one.
        limit: seconds after which a rank counts as hung.
    """

    def __init__(self, mailbox: Any, rank: int, limit: float) -> None:
        self._mailbox = mailbox
        self._rank = rank
        self._seconds = min(BEAT_SECONDS, limit / BEATS)
        self._entered = 0
        self._leaves = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mfsweep-heart", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join()

    def enter(self) -> None:
        """Count a collective that this rank is about to enter."""
        self._entered += 1

    def is_leaving(self) -> bool:
        """Return whether the group was asked to save its state and to end, as the answer to a pulse says."""
        return self._leaves

    def _beat(self) -> None:
        beats = 0
        while not self._ended.is_set():
            beats += 1
            answer = self._mailbox.beat.remote(self._rank, Pulse(beats, self._entered))
            self._ended.wait(self._seconds)
            self._leaves = self._leaves or self._answered(answer)

    def _answered(self, answer: Any) -> bool:
        """Return what the mailbox has answered by now; one that does not answer has asked for nothing."""
        try:
            return bool(ray.get(answer, timeout=0))
        except RayError:
            return False


class Watch:
    """Tells which ranks hang, from their pulses at one look after another.

    Args:
        limit: seconds for which the others may wait for a rank, or nothing may be heard of it.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._pulses: dict[int, Pulse] = {}
        self._silent: dict[int, float] = {}
        """Rank -> seconds since its last beat."""
        self._waited: dict[int, float] = {}
        """Rank -> seconds for which it has been behind the others, at the same place."""

    def look(self, pulses: Mapping[int, Pulse], seconds: float) -> dict[int, str]:
        """Return what is wrong with each rank that hangs.

        Args:
            pulses: rank -> its last pulse, of the ranks that are at the job.
            seconds: since the look before.
        """
        seconds = min(seconds, LONGEST_LOOK)
        ahead = max((pulse.entered for pulse in pulses.values()), default=0)
        hung: dict[int, str] = {}
        for rank, pulse in pulses.items():
            before = self._pulses.get(rank)
            heard = before is None or pulse.beats != before.beats
            moved = before is None or pulse.entered != before.entered
            self._silent[rank] = 0.0 if heard else self._silent[rank] + seconds
            self._waited[rank] = 0.0 if moved or pulse.entered == ahead else self._waited[rank] + seconds
            if self._silent[rank] >= self._limit:
                hung[rank] = f"nothing was heard of its process for {self._limit:g} s"
            elif self._waited[rank] >= self._limit:
                hung[rank] = f"the other ranks waited for it for {self._limit:g} s"
        self._pulses = dict(pulses)
        return hung
