"""Hands a stage to Ray Tune when its parents are done: the dependency-aware search algorithm.

Each stage is one trial. The queue keeps every Trial it made and reads its status itself: Tune tells a search algorithm
of most ends but not of all (a trial aborted by a failed actor reuse is not told). Whether a stage is done is never
Tune's word but the store's: a record, and the evaluations asked for.

A stage that another sweep on the store performs is held back, so that nothing waits for it in a place where it could
be trained; when the other sweep has ended, it is done or its turn comes.

The graph may grow: what supplies the queue is told of each end before anything is asked of the queue again. So a queue
is never finished while a search has a point to come.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm

from mfsweep.run.stage_trial import StageTrial


class Status(StrEnum):
    """Where a stage stands in this run."""

    WAITING = "waiting"
    """A parent is not done."""
    READY = "ready"
    HELD = "held"
    """Another sweep performs it."""
    RUNNING = "running"
    """Handed to Tune; it may still wait for a worker."""
    DONE = "done"
    REUSED = "reused"
    """Done before this run began, or by another sweep meanwhile."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """An ancestor failed, or its point was given up before it began."""
    PRUNED = "pruned"
    """A search gave it up while it was trained; its checkpoint stays."""
    STOPPED = "stopped"
    """Cut short by an interrupt: it goes on in the next run."""


BEGUN = "begun"
"""Key of the first result that a trial reports, when its stage has all its workers; the value is the trial's node."""
ENDED = "ended"
"""Key of the last result that a trial reports, whether its stage went well or failed."""
CLAIMED = "claimed"
"""Beside `ENDED`: another sweep performs the stage, and the trial has done nothing."""
STOPPED = "stopped"
"""Beside `ENDED`: the run is to end, and the trial has saved the stage's state."""
GIVEN_UP = "given_up"
"""Beside `ENDED`: a search has given the stage up, and the trial has left it there."""
LOST = "lost"
"""Key of a result that says which workers the stage has lost, and why; it goes on from its last checkpoint."""
PAUSED = "paused"
"""Key of a result that says why the stage waits."""
LOOK_SECONDS = 1.0
"""Between two looks at whether another sweep still performs a stage."""


class StageQueue(SearchAlgorithm):
    """A Tune search algorithm over a graph of stages.

    Args:
        parents: stage key -> parent's key or None, parents before children.
        config: stage key -> the trial's config.
        resources: stage key -> what its trial holds.
        room: takes how many stages have their workers, and returns how many may be out at a time.
        done: whether the store says that a stage is done.
        claimed: whether another sweep performs a stage now.
        max_failures: times Tune starts a trial again whose actor died.
        supply: takes the keys of the stages that have ended and returns the graph, which may have grown, as `parents`.
        spared: whether only points that a search has given up need a stage, as far as is known now.
        take: takes a stage for this sweep before it is handed out; False where another one was quicker.
        seconds: stage key -> what it is expected to take, in any unit.
    """

    def __init__(  # noqa: PLR0917 (each is one thing that the queue asks)
        self,
        parents: Mapping[str, str | None],
        config: Callable[[str], dict[str, Any]],
        resources: Callable[[str], PlacementGroupFactory],
        room: Callable[[int], int],
        done: Callable[[str], bool],
        claimed: Callable[[str], bool],
        max_failures: int,
        supply: Callable[[Sequence[str]], Mapping[str, str | None]] | None = None,
        spared: Callable[[str], bool] = lambda _: False,
        take: Callable[[str], bool] = lambda _: True,
        seconds: Callable[[str], float] = lambda _: 1.0,
    ) -> None:
        self._parents: dict[str, str | None] = {}
        self._config = config
        self._resources = resources
        self._room = room
        self._done = done
        self._claimed = claimed
        self._max_failures = max_failures
        self._supply = supply
        self._spared = spared
        self._take = take
        self._seconds = seconds
        self._children: dict[str, list[str]] = {}
        self._rank: dict[str, tuple[float, int]] = {}
        """The stage with the longest chain below it goes first, then in the order in which they came."""
        self._ready: list[tuple[float, int, str]] = []
        self._running: set[str] = set()
        self._begun: set[str] = set()
        """Those of them that have their workers."""
        self._performed: set[str] = set()
        """Those that had them at some time of this run."""
        self._given_up: set[str] = set()
        """Those that were pruned, or skipped because of that."""
        self._held: set[str] = set()
        self._looked = time.monotonic()
        """When the held ones were looked at last."""
        self._ended: list[str] = []
        self._untold: list[str] = []
        """Ends that the supply was not told of."""
        self.status: dict[str, Status] = {}
        self._unreleased = 0
        """Stages that are waiting, ready or held."""
        self.trials: dict[str, StageTrial] = {}
        self._experiment: Experiment | None = None
        self.add(parents)
        self._ended.clear()  # what was done before the run began
        self._grow()

    @property
    def is_complete(self) -> bool:
        """Return whether every stage has come to an end, good or bad."""
        return not self._finished and not self._unreleased and not self._running

    @property
    def begun(self) -> int:
        """Return how many stages have their workers."""
        return len(self._begun)

    @property
    def waiting(self) -> int:
        """Return how many stages wait for their workers."""
        return len(self._running) - len(self._begun)

    def key_of(self, trial: Trial) -> str:
        """Return the stage key of a trial."""
        return trial.config["key"]

    def is_given_up(self, key: str) -> bool:
        """Return whether a stage was pruned, or skipped because of that."""
        return key in self._given_up

    def begin(self, key: str, node: str) -> None:
        """Take in that a stage has its workers, and the node of its trial."""
        self._begun.add(key)
        self._performed.add(key)
        self.trials[key].node = node

    def lose(self, key: str) -> None:
        """Take in that a stage has lost its workers and waits for others."""
        self._begun.discard(key)

    def stop(self) -> None:
        """Hand out nothing more."""
        self._finished = True

    def take_ended(self) -> list[str]:
        """Return the keys of the stages that have ended since this was last asked, skipped ones among them."""
        self.reconcile()
        ended, self._ended = self._ended, []
        return ended

    def add(self, parents: Mapping[str, str | None]) -> None:
        """Take further stages, parents before children; of those that it has, the ones that are needed once more."""
        new = {key: parent for key, parent in parents.items() if key not in self.status}
        self._parents |= new
        self._children |= {key: [] for key in new}
        for key, parent in new.items():
            if parent is not None:
                self._children[parent].append(key)
        first = len(self._rank)
        self._rank |= {key: (-height, first + order) for order, (key, height) in enumerate(self._heights(new).items())}
        for key in new:
            self.status[key] = Status.REUSED if self._done(key) else Status.WAITING
            if self.status[key] is Status.WAITING:
                self._unreleased += 1
            else:
                self._say_ended(key)
        for key in parents:
            # Another cell asks for one more evaluation of it.
            if key not in new and self.status[key] in (Status.DONE, Status.REUSED) and not self._done(key):
                self._wait_again(key)
            # Another point has come to need what one that was given up did not.
            if key not in new and key in self._given_up and not self._spared(key):
                self._given_up.discard(key)
                self._wait_again(key)
        for key in new:
            self._release(key)

    def reconcile(self) -> None:
        """Read the statuses of all trials that are out, release what their ends allow, and let the graph grow."""
        ended = [key for key in self._running if self.trials[key].is_finished()]
        for key in ended:
            self._running.discard(key)
            self._begun.discard(key)
            self.status[key] = self._end_of(key)
            if self.status[key] is Status.STOPPED:
                self._finished = True
            elif self.status[key] is Status.WAITING:
                self._wait_again(key)
            elif self.status[key] is Status.HELD:
                self._unreleased += 1
                self._held.add(key)
            else:
                self._end(key)
        self._look_at_held()
        self._grow()

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
        if len(self._running) >= self._room(len(self._begun)):
            return None
        key = self._next_ready()
        if key is None:
            return None
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
        last = trial.last_result or {}
        if self._done(key):
            return Status.REUSED if last.get(CLAIMED) and key not in self._performed else Status.DONE
        if trial.status == Trial.ERROR:
            return Status.FAILED
        if last.get(GIVEN_UP):
            # Meanwhile something else may have come to need it.
            return Status.PRUNED if self._spared(key) else Status.WAITING
        if not last.get(ENDED) or last.get(STOPPED):
            return Status.STOPPED
        if last.get(CLAIMED):
            return Status.HELD
        # It did what it was given; meanwhile the graph may have grown, and asks for more evaluations of it.
        more = any(trial.config.get(name) != value for name, value in self._config(key).items())
        return Status.WAITING if more else Status.FAILED

    def _next_ready(self) -> str | None:
        """Take the ready stage with the longest chain below it; what another sweep performs is held back."""
        while self._ready:
            *_, key = heapq.heappop(self._ready)
            if self._claimed(key):
                self._hold(key)
            elif self._done(key):
                self._end_as_reused(key)
            elif self._spared(key):
                self._skip(key)
            elif self._take(key):
                return key
            else:
                self._hold(key)
        return None

    def _hold(self, key: str) -> None:
        self.status[key] = Status.HELD
        self._held.add(key)

    def _look_at_held(self) -> None:
        """See what became of the stages that other sweeps performed."""
        if not self._held or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for key in [key for key in self._held if not self._claimed(key)]:
            self._held.discard(key)
            if self._done(key):
                self._end_as_reused(key)
            else:
                self.status[key] = Status.READY
                heapq.heappush(self._ready, (*self._rank[key], key))

    def _trial(self, key: str) -> StageTrial:
        assert self._experiment is not None
        before = self.trials.get(key)
        return StageTrial(
            self._experiment.spec["run"],
            config={"key": key, **self._config(key)},
            trial_id=f"{before.trial_id}-again" if before else key,  # Tune wants each once
            storage=self._experiment.spec["storage"],
            placement_group_factory=self._resources(key),
            max_failures=self._max_failures,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
        )

    def _grow(self) -> None:
        """Tell the supply of the ends until they bring nothing new: what it adds may have ended already."""
        while self._supply and self._untold and not self._finished:
            untold, self._untold = self._untold, []
            self.add(self._supply(untold))

    def _end_as_reused(self, key: str) -> None:
        """Take a stage that was to be handed out from another sweep."""
        self.status[key] = Status.REUSED
        self._unreleased -= 1
        self._end(key)

    def _end(self, key: str) -> None:
        """Say that a stage has ended, and release what its end allows."""
        if self.status[key] is Status.PRUNED:
            self._given_up.add(key)
        self._say_ended(key)
        for child in self._children[key]:
            self._release(child)

    def _say_ended(self, key: str) -> None:
        self._ended.append(key)
        self._untold.append(key)

    def _wait_again(self, key: str) -> None:
        """Let a stage out once more."""
        self.status[key] = Status.WAITING
        self._unreleased += 1
        self._release(key)

    def _release(self, key: str) -> None:
        """Move a waiting stage on if its parent's end allows it, and with it its descendants."""
        parent = self._parents[key]
        above = self.status[parent] if parent is not None else Status.DONE
        if self.status[key] is not Status.WAITING:
            return
        if above in (Status.DONE, Status.REUSED):
            self.status[key] = Status.READY
            heapq.heappush(self._ready, (*self._rank[key], key))
        elif above in (Status.FAILED, Status.SKIPPED, Status.PRUNED):
            self._skip(key)

    def _skip(self, key: str) -> None:
        """End a stage that is not run: an ancestor failed, or its point was given up."""
        if self._spared(key) or self._parents[key] in self._given_up:
            self._given_up.add(key)
        self.status[key] = Status.SKIPPED
        self._unreleased -= 1
        self._end(key)

    def _heights(self, parents: Mapping[str, str | None]) -> dict[str, float]:
        """Return what the longest chain below and including each stage takes, in the graph's order."""
        heights: dict[str, float] = {}
        for key in reversed(list(parents)):
            heights[key] = self._seconds(key) + max((heights[child] for child in self._children[key]), default=0.0)
        return {key: heights[key] for key in parents}
