"""The Tune trial of one stage: which of its failures count."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Experiment, Trial

from mfsweep.run.leaving import draining

UNREACHABLE_SECONDS = 90.0
"""How long a node of which nothing is heard may still be shown as alive: Ray gives it up after five looks that fail."""
POLL_SECONDS = 0.5


class StageTrial(Trial):
    """A trial that is given up after `max_failures` failures without a validation in between.

    What a stage has validated is in its checkpoint: each failure after that costs the steps since, and says nothing of
    the next. A trial whose node went away, or is about to, as spot machines do, has not failed at all, also where that
    is known later.
    """

    node: str | None = None
    """Where its process runs, once it does."""
    number: int = 1
    """Counts the trials of its stage in this run, from 1."""
    _nodes: tuple[str, ...] = ()
    """Where the failures happened that count."""

    def validated(self) -> None:
        """Forget the failures so far."""
        self._nodes = ()
        self.run_metadata.num_failures = 0

    def update_last_result(self, result: dict[str, Any]) -> None:
        """Take in a report; what Tune calls. Of thousands of trials only what they said last is kept."""
        result.pop("config", None)  # this trial's own once more
        super().update_last_result(result)
        self.run_metadata.metric_analysis, self.run_metadata.metric_n_steps = {}, {}

    def get_json_state(self) -> tuple[str, str]:
        """Return nothing: Tune keeps it for `Tuner.restore`, and a run is resumed from the store instead."""
        return "{}", "{}"

    def handle_error(self, exc: Any = None) -> None:
        """Take in a failure; what Tune calls.

        Only where the trial would be given up, and nobody knows yet what became of its node, is that waited for.
        """
        super().handle_error(exc)
        self._nodes += (self.node or "",)
        self._forget_gone()
        deadline = time.monotonic() + UNREACHABLE_SECONDS
        while isinstance(exc, ActorUnavailableError) and not self.should_recover() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._forget_gone()

    def _forget_gone(self) -> None:
        self._nodes = tuple(node for node in self._nodes if not node or not is_gone(node))
        self.run_metadata.num_failures = len(self._nodes)


def trial_of(
    experiment: Experiment,
    config: dict[str, Any],
    holds: PlacementGroupFactory,
    max_failures: int,
    before: StageTrial | None,
) -> StageTrial:
    """Return the trial of a stage.

    Args:
        experiment: to which it belongs.
        config: the trial's, with the stage's key.
        holds: what its process holds.
        max_failures: times Tune starts it again, where its actor died.
        before: an earlier trial of the stage in this run.
    """
    number = before.number + 1 if before else 1
    made = StageTrial(
        experiment.spec["run"],
        config=config,
        trial_id=f"{config['key']}-{number}" if before else config["key"],  # Tune wants each once; its folder's name
        storage=experiment.spec["storage"],
        placement_group_factory=holds,
        max_failures=max_failures,
        trial_dirname_creator=lambda trial: trial.trial_id,
        trial_name_creator=lambda trial: trial.trial_id,
    )
    made.number = number
    return made


def is_gone(node: str) -> bool:
    """Return whether a node, by its id, has left the cluster, or is about to."""
    return not any(entry["NodeID"] == node and entry["Alive"] for entry in ray.nodes()) or node in draining()


def last_line(text: str) -> str:
    """Return what an error says at its end, where tracebacks have their cause, without Ray's guesses at it."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return last.partition(" Some common causes")[0][:300]
