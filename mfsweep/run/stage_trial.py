"""The Tune trial of one stage: which of its failures count."""

from __future__ import annotations

from typing import Any

import ray
from ray.tune.experiment import Trial


class StageTrial(Trial):
    """A trial that is given up after `max_failures` failures without a validation in between.

    What a stage has validated is in its checkpoint: each failure after that costs the steps since, and says nothing of
    the next. A trial whose node went away, as spot machines do, has not failed at all.
    """

    node: str | None = None
    """Where its process runs, once it does."""

    def validated(self) -> None:
        """Forget the failures so far."""
        self.run_metadata.num_failures = 0

    def handle_error(self, exc: Any = None) -> None:
        """Take in a failure; what Tune calls."""
        before = self.run_metadata.num_failures
        super().handle_error(exc)
        if self.node is not None and is_gone(self.node):
            self.run_metadata.num_failures = before


def is_gone(node: str) -> bool:
    """Return whether a node, by its id, has left the cluster."""
    return not any(entry["NodeID"] == node and entry["Alive"] for entry in ray.nodes())


def last_line(text: str) -> str:
    """Return what an error says at its end, where tracebacks have their cause, without Ray's guesses at it."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return last.partition(" Some common causes")[0][:300]
