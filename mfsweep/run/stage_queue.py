"""Hands a stage to Ray Tune when its parents are done: the dependency-aware search algorithm.

Each stage is one trial. The queue keeps every Trial it made and reads its status itself: Tune tells a search algorithm
of most ends but not of all (a trial aborted by a failed actor reuse is not told). Whether a stage is done is never
Tune's word but the store's: a record, and the evaluations asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm


class Status(StrEnum):
    """Where a stage stands in this run."""

    WAITING = "waiting"
    """A parent is not done."""
    READY = "ready"
    RUNNING = "running"
    """Handed to Tune; it may still wait for a worker."""
    DONE = "done"
    REUSED = "reused"
    """Done before this run began."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """An ancestor failed."""
    STOPPED = "stopped"
    """Cut short by an interrupt: it goes on in the next run."""


ENDED = "ended"
"""Key of the last result that a trial reports, whether its stage went well or failed."""


class StageQueue(SearchAlgorithm):
    """A Tune search algorithm over a graph of stages.

    Args:
        parents: stage key -> parent's key or None, parents before children.
        config: stage key -> the trial's config.
        resources: what one trial holds.
        slots: trials that may be out at a time.
        done: whether the store says that a stage is done.
        max_failures: times Tune starts a trial again whose actor died.
    """

    def __init__(
        self,
        parents: Mapping[str, str | None],
        config: Callable[[str], dict[str, Any]],
        resources: PlacementGroupFactory,
        slots: int,
        done: Callable[[str], bool],
        max_failures: int,
    ) -> None:
        self._parents = parents
        self._config = config
        self._resources = resources
        self._slots = slots
        self._done = done
        self._max_failures = max_failures
        self._children: dict[str, list[str]] = {key: [] for key in parents}
        for key, parent in parents.items():
            if parent is not None:
                self._children[parent].append(key)
        # The stage with the longest chain below it goes first, then in the order of the spec.
        self._rank = {key: (-height, order) for order, (key, height) in enumerate(self._heights().items())}
        self._ready: list[tuple[int, int, str]] = []
        self._running: set[str] = set()
        self._ended: list[str] = []
        self.status = {key: Status.REUSED if done(key) else Status.WAITING for key in parents}
        self._unreleased = sum(status is Status.WAITING for status in self.status.values())
        """Stages that are waiting or ready."""
        self.trials: dict[str, Trial] = {}
        self._experiment: Experiment | None = None
        for key in parents:
            self._release(key)

    @property
    def is_complete(self) -> bool:
        """Return whether every stage has come to an end, good or bad."""
        return not self._finished and not self._unreleased and not self._running

    def key_of(self, trial: Trial) -> str:
        """Return the stage key of a trial."""
        return trial.config["key"]

    def take_ended(self) -> list[str]:
        """Return the keys of the stages that have ended since this was last asked, skipped ones among them."""
        self.reconcile()
        ended, self._ended = self._ended, []
        return ended

    def reconcile(self) -> None:
        """Read the statuses of all trials that are out, and release what their ends allow."""
        ended = [key for key in self._running if self.trials[key].is_finished()]
        for key in ended:
            self._running.discard(key)
            self.status[key] = self._end_of(key)
            if self.status[key] is Status.STOPPED:
                self._finished = True
                continue
            self._ended.append(key)
            for child in self._children[key]:
                self._release(child)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for `Tuner.restore`, and a run is resumed from the store instead."""
        return {}

    # What Tune calls.

    def add_configurations(self, experiments: Any) -> None:
        """Take the experiment that the trials belong to."""
        (self._experiment,) = experiments if isinstance(experiments, list) else [experiments]

    def next_trial(self) -> Trial | None:
        """Return a trial for the ready stage with the longest chain below it, or None when nothing can start now."""
        self.reconcile()
        if not self._ready or len(self._running) >= self._slots:
            return None
        *_, key = heapq.heappop(self._ready)
        self._unreleased -= 1
        self._running.add(key)
        self.status[key] = Status.RUNNING
        self.trials[key] = self._trial(key)
        return self.trials[key]

    def is_finished(self) -> bool:
        """Return whether no trial will ever come any more; a child of a running stage still may."""
        self.reconcile()
        return self._finished or not self._unreleased

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: `reconcile` reads the statuses."""

    def _end_of(self, key: str) -> Status:
        trial = self.trials[key]
        if self._done(key):
            return Status.DONE
        if trial.status == Trial.ERROR or (trial.last_result or {}).get(ENDED):
            return Status.FAILED
        return Status.STOPPED

    def _trial(self, key: str) -> Trial:
        assert self._experiment is not None
        return Trial(
            self._experiment.spec["run"],
            config={"key": key, **self._config(key)},
            trial_id=key,
            storage=self._experiment.spec["storage"],
            placement_group_factory=self._resources,
            max_failures=self._max_failures,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
        )

    def _release(self, key: str) -> None:
        """Move a waiting stage on if its parent's end allows it, and with it its descendants."""
        parent = self._parents[key]
        above = self.status[parent] if parent is not None else Status.DONE
        if self.status[key] is not Status.WAITING:
            return
        if above in (Status.DONE, Status.REUSED):
            self.status[key] = Status.READY
            heapq.heappush(self._ready, (*self._rank[key], key))
        elif above in (Status.FAILED, Status.SKIPPED):
            self.status[key] = Status.SKIPPED
            self._ended.append(key)
            self._unreleased -= 1
            for child in self._children[key]:
                self._release(child)

    def _heights(self) -> dict[str, int]:
        """Return the stages in the chain below and including each, in the graph's order."""
        heights: dict[str, int] = {}
        for key in reversed(list(self._parents)):
            heights[key] = 1 + max((heights[child] for child in self._children[key]), default=0)
        return {key: heights[key] for key in self._parents}
