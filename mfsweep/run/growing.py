"""What adds stages to a plan while it runs: a search of axes, or a run until a condition is met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mfsweep.prepare import Plan


class NotNow(Exception):  # noqa: N818 (no error: it is tried again)
    """What a plan grows by does not answer at this moment."""


class Growing:
    """Base of what grows a plan. One that gives no stage up before its end has nothing to say of that."""

    plan: Plan
    """As it is now."""

    @property
    def progress(self) -> str:
        """Return how far it is, for the display."""
        raise NotImplementedError

    def advance(self, ended: Iterable[str] = ()) -> None:
        """Let the plan grow by what follows from the stages that have ended, well or badly, since the last call.

        Raises:
            NotNow: to be called again later, with these stages among those that have ended.
        """
        raise NotImplementedError

    @property
    def has_pruner(self) -> bool:
        """Return whether stages may be given up."""
        return False

    def judge(self, key: str, progress: Mapping[str, Any]) -> None:
        """Take in a validation of a stage, `loop.Progress` as plain data."""

    def is_spared(self, key: str) -> bool:
        """Return whether a stage was given up, and nothing else needs it."""
        return False

    def why_spared(self, key: str) -> str:
        """Return why it was given up."""
        raise NotImplementedError
