"""Fair shares of one Ray cluster among the sweeps that run on it.

Ray serves who asks first, and a place goes from a stage to the next one of the same sweep: one that came first would
keep what it has until it is done. So each sweep tells an actor on the head what it holds, and what it would hold if
there were room, and hears how far it may go:

    up to the level     as high as all can be filled at once: who wants less leaves the rest to the others (max-min)
    beyond it           by one stage, if none that waits below the level was served less: where shares are parts of a
                        stage, sweeps take turns
    not at all          while one that waits below the level was served less by a minute of the whole cluster: it needs
                        more at once than the others leave

What runs is never ended for it. What was served is the integral of what was held; a sweep that comes, or that waits
again, begins with that of the least served one.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from mfsweep.run.cluster import HEAD

ACTOR = "mfsweep-shares"
"""Name of the actor, and of its namespace."""
TELL_SECONDS = 1.0
"""Between two words of a sweep."""
SILENT_SECONDS = 120.0
"""After which a sweep of which nothing is heard is taken for ended."""
OWED_SECONDS = 60.0
_SLACK = 1e-6


class Allotment(NamedTuple):
    """How far a sweep may go, in parts of the cluster."""

    level: float
    """What it may hold."""
    is_first: bool
    """Whether none that waits below the level was served less."""
    owes: bool
    """Whether one was served so much less that it goes before."""

    def allows(self, holds: float, then: float) -> bool:
        """Return whether a further stage may be handed out.

        Args:
            holds: what the sweep holds.
            then: what it would hold with the stage.
        """
        if then <= self.level + _SLACK:
            return not self.owes
        return holds < self.level - _SLACK and self.is_first


ALONE = Allotment(float("inf"), is_first=True, owes=False)


@dataclass
class _Sweep:
    holds: float
    wants: float
    told: float
    served: float

    @property
    def waits(self) -> bool:
        return self.wants > self.holds + _SLACK


class Ledger:
    """What each sweep on a cluster holds, wants and was served."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sweeps: dict[str, _Sweep] = {}

    def tell(self, sweep: str, holds: float, wants: float) -> Allotment:
        """Take in where a sweep stands, and return how far it may go.

        Args:
            sweep: which it is.
            holds: the part of the cluster that its stages hold.
            wants: the part that they would hold if there were room; above 1 where there are many.
        """
        now = self._clock()
        self._sweeps = {
            key: one for key, one in self._sweeps.items() if key == sweep or now - one.told < SILENT_SECONDS
        }
        others = [one for key, one in self._sweeps.items() if key != sweep]
        before = self._sweeps.get(sweep, _Sweep(0.0, 0.0, now, 0.0))
        mine = _Sweep(holds, wants, now, before.served + before.holds * (now - before.told))
        if mine.waits and not before.waits:
            mine.served = max(mine.served, min((one.served for one in others if one.waits), default=0.0))
        self._sweeps[sweep] = mine
        level = level_of(one.wants for one in self._sweeps.values())
        waiting = [one for one in others if one.waits]
        below = [one for one in waiting if one.holds < level - _SLACK]
        return Allotment(
            level,
            is_first=not any(one.served < mine.served for one in below)
            and not any(one.served + OWED_SECONDS < mine.served for one in waiting),
            owes=any(one.served + OWED_SECONDS < mine.served for one in below),
        )

    def leave(self, sweep: str) -> None:
        """Forget a sweep that has ended."""
        self._sweeps.pop(sweep, None)


def level_of(wants: Iterable[float]) -> float:
    """Return the most that each may hold so that all is used and none has more than another that wants more.

    Args:
        wants: the part that each would hold; inf is returned where there is enough for all.
    """
    ascending = sorted(wants)
    left = 1.0
    for done, want in enumerate(ascending):
        equal = left / (len(ascending) - done)
        if want > equal:
            return equal
        left -= want
    return float("inf")


class FairShare:
    """The word of one sweep to the others.

    Where the actor cannot be reached the sweep goes on as if it were alone.
    """

    def __init__(self) -> None:
        self.allotment: Allotment = ALONE
        self._sweep = uuid.uuid4().hex
        self._actor: Any = None
        self._answer: Any = None
        self._told = float("-inf")

    def tell(self, standing: Callable[[], tuple[float, float]]) -> None:
        """Say where the sweep stands, now and then, and take in what was answered; never wait for it.

        Args:
            standing: returns the part of the cluster that its stages hold, and that they would hold if there were room.
        """
        try:
            if self._answer is not None:
                if not ray.wait([self._answer], timeout=0)[0]:
                    return
                answered: Any = ray.get(self._answer)
                self.allotment, self._answer = answered, None
            if time.monotonic() - self._told > TELL_SECONDS:
                self._told = time.monotonic()
                self._actor = self._actor or _actor()
                self._answer = self._actor.tell.remote(self._sweep, *standing())
        except (RayError, ValueError):  # it ended with the run that had made it: the next word makes another
            self.allotment, self._answer, self._actor = ALONE, None, None

    def leave(self) -> None:
        """Say that the sweep has ended."""
        if self._actor is not None:
            with contextlib.suppress(RayError):
                ray.get(self._actor.leave.remote(self._sweep), timeout=TELL_SECONDS)


def _actor() -> Any:
    options = {"name": ACTOR, "namespace": ACTOR, "get_if_exists": True, "num_cpus": 0, "resources": HEAD}
    return ray.remote(Ledger).options(**options).remote()
