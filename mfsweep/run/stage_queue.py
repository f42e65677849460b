"""Hands a stage to Ray Tune when its parents are done: the dependency-aware search algorithm.

Each stage is one trial. The queue keeps every Trial it made and reads its status itself: Tune tells a search algorithm
of most ends but not of all (a trial aborted by a failed actor reuse is not told). Whether a stage is done is never
Tune's word but the store's: a record, and the evaluations asked for. A network file system may show these only after a
while where they were looked for before; so a stage of which its own trial has seen them is waited for.

A stage that another sweep on the store performs is held back, so that nothing waits for it in a place where it could
be trained; when the other sweep has ended, it is done or its turn comes.

The graph may grow: what supplies the queue is told of each end before anything is asked of the queue again. So a queue
is never finished while a search has a point to come. A supply that does not answer is told later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm

from mfsweep.run.dispatch import Admitting, Dispatch
from mfsweep.run.shapes import StageShape
from mfsweep.run.stage_status import CLAIMED, ENDED, FAILURE, GIVEN_UP, PERFORMED, STOPPED, Status
from mfsweep.run.stage_trial import StageTrial, trial_of
from mfsweep.run.supply import Parents, Supply
from mfsweep.run.withheld import UNSEEN, Withheld


class StageQueue(SearchAlgorithm):
    """A Tune search algorithm over a graph of stages.

    Args:
        parents: stage key -> parent's key or None, parents before children.
        config: stage key -> the trial's config.
        resources: stage key -> what its trial holds.
        shape: stage key -> what the stage and its workers hold.
        room: for them; None where nothing is to be handed out.
        done: whether the store says that a stage is done.
        claimed: whether another sweep performs a stage now.
        max_failures: stage key -> times Tune starts its trial again, where its actor died.
        supply: takes the keys of the stages that have ended and returns the graph, which may have grown, as `parents`;
            or raises NotNow, and is given them again later.
        spared: whether only points that a search has given up need a stage, as far as is known now.
        take: takes a stage for this sweep before it is handed out; False where another one was quicker.
        seconds: stage key -> what it is expected to take, in any unit.
    """

    def __init__(  # noqa: PLR0917 (each is one thing that the queue asks)
        self,
        parents: Parents,
        config: Callable[[str], dict[str, Any]],
        resources: Callable[[str], PlacementGroupFactory],
        shape: Callable[[str], StageShape],
        room: Admitting | None,
        done: Callable[[str], bool],
        claimed: Callable[[str], bool],
        max_failures: Callable[[str], int],
        supply: Callable[[Sequence[str]], Parents] | None = None,
        spared: Callable[[str], bool] = lambda _: False,
        take: Callable[[str], bool] = lambda _: True,
        seconds: Callable[[str], float] = lambda _: 1.0,
    ) -> None:
        self._parents: dict[str, str | None] = {}
        self._config = config
        self._resources = resources
        self._done = done
        self._claimed = claimed
        self._withheld = Withheld(claimed)
        self._max_failures = max_failures
        self._supply = Supply(supply)
        self._spared = spared
        self._take = take
        self._seconds = seconds
        self._children: dict[str, list[str]] = {}
        self._dispatch = Dispatch(shape, room)
        self._performed: set[str] = set()
        """Those that had their workers at some time of this run."""
        self._given_up: set[str] = set()
        """Those that were pruned, or skipped because of that."""
        self._ended: list[str] = []
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
        return not self._finished and not self._unreleased and not self._dispatch.out and not self._supply.is_open

    @property
    def begun(self) -> int:
        """Return how many stages have their workers."""
        return len(self._dispatch.begun)

    @property
    def waiting(self) -> Counter[StageShape]:
        """Return the shapes of the stages that wait for their workers, with how many each."""
        return self._dispatch.waiting()

    def key_of(self, trial: Trial) -> str:
        """Return the stage key of a trial."""
        return trial.config["key"]

    def is_given_up(self, key: str) -> bool:
        """Return whether a stage was pruned, or skipped because of that."""
        return key in self._given_up

    def begin(self, key: str, node: str) -> None:
        """Take in that a stage has its workers, and the node of its trial."""
        self._dispatch.begin(key)
        self._performed.add(key)
        self.trials[key].node = node

    def lose(self, key: str) -> None:
        """Take in that a stage has lost its workers and waits for others."""
        self._dispatch.lose(key)

    def stop(self) -> None:
        """Hand out nothing more."""
        self._finished = True

    def take_ended(self) -> list[str]:
        """Return the keys of the stages that have ended since this was last asked, skipped ones among them."""
        self.reconcile()
        ended, self._ended = self._ended, []
        return ended

    def add(self, parents: Parents) -> None:
        """Take further stages, parents before children; of those that it has, the ones that are needed once more."""
        new = {key: parent for key, parent in parents.items() if key not in self.status}
        self._parents |= new
        self._children |= {key: [] for key in new}
        for key, parent in new.items():
            if parent is not None:
                self._children[parent].append(key)
        self._dispatch.rank(new, self._children, self._seconds)
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
        ended = [key for key in self._dispatch.out if self.trials[key].is_finished()]
        for key in ended:
            self._dispatch.end(key)
            self._take_end(key, self._end_of(key))
        self._look_at_held()
        self._grow()
        self._dispatch.tell()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for `Tuner.restore`, and a run is resumed from the store instead."""
        return {}

    # What Tune calls.

    def add_configurations(self, experiments: Any) -> None:
        """Take the experiment that the trials belong to."""
        (self._experiment,) = experiments if isinstance(experiments, list) else [experiments]

    def next_trial(self) -> Trial | None:
        """Return a trial for the stage whose turn it is, or None when nothing can start now."""
        self.reconcile()
        if (key := self._next_ready()) is None:
            return None
        self._unreleased -= 1
        self.status[key] = Status.RUNNING
        self.trials[key] = self._trial(key)
        return self.trials[key]

    def is_finished(self) -> bool:
        """Return whether no trial will ever come any more; a child of a running stage still may."""
        self.reconcile()
        return self._finished or not (self._unreleased or self._supply.is_open)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: `reconcile` reads the statuses."""

    def why_failed(self, key: str) -> str | None:
        """Return why a stage has failed as its trial has said it, for where the store does not show that yet."""
        last = self.trials[key].last_result or {}
        return last.get(FAILURE) or (UNSEEN if last.get(PERFORMED) else None)

    def _take_end(self, key: str, end: Status) -> None:
        """Take in how a trial has ended."""
        self.status[key] = end
        if end is Status.STOPPED:
            self._finished = True
        elif end is Status.WAITING:
            self._wait_again(key)
        elif end is Status.HELD:
            self._unreleased += 1
            self._withheld.hold(key)
        else:
            self._end(key)

    def _end_of(self, key: str) -> Status:  # noqa: PLR0911 (one for each end)
        trial = self.trials[key]
        last = trial.last_result or {}
        if self._done(key):
            return Status.REUSED if last.get(CLAIMED) and key not in self._performed else Status.DONE
        # It did what it was given; meanwhile the graph may have grown, and asks for more evaluations of it.
        more = any(trial.config.get(name) != value for name, value in self._config(key).items())
        if last.get(PERFORMED) and not last.get(GIVEN_UP) and not more:
            return Status.HELD if self._withheld.may_appear(key) else Status.FAILED
        if trial.status == Trial.ERROR:
            return Status.FAILED
        if last.get(GIVEN_UP):
            # Meanwhile something else may have come to need it.
            return Status.PRUNED if self._spared(key) else Status.WAITING
        if not last.get(ENDED) or last.get(STOPPED):
            return Status.STOPPED
        if last.get(CLAIMED) and not last.get(PERFORMED):
            return Status.HELD
        return Status.WAITING if more else Status.FAILED

    def _next_ready(self) -> str | None:
        """Take the stage whose turn it is; what another sweep performs is held back."""
        while (key := self._dispatch.take()) is not None:
            if self._claimed(key):
                instead = self._hold
            elif self._done(key):
                instead = self._end_as_reused
            elif self._spared(key):
                instead = self._skip
            elif self._take(key):
                return key
            else:
                instead = self._hold
            self._dispatch.end(key)
            instead(key)
        return None

    def _hold(self, key: str) -> None:
        self.status[key] = Status.HELD
        self._withheld.hold(key)

    def _look_at_held(self) -> None:
        """See what became of the stages that other sweeps performed, and whether what is done can be seen."""
        unseen, free = self._withheld.look()
        for key in unseen:
            if (end := self._end_of(key)) is not Status.HELD:
                self._withheld.drop(key)
                self._unreleased -= 1
                self._take_end(key, end)
        for key in free:
            if self._done(key):
                self._end_as_reused(key)
            else:
                self.status[key] = Status.READY
                self._dispatch.put(key)

    def _trial(self, key: str) -> StageTrial:
        assert self._experiment is not None
        config = {"key": key, **self._config(key)}
        return trial_of(self._experiment, config, self._resources(key), self._max_failures(key), self.trials.get(key))

    def _grow(self) -> None:
        """Tell the supply of the ends until they bring nothing new: what it adds may have ended already."""
        while not self._finished and (parents := self._supply.answer()) is not None:
            self.add(parents)

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
        self._supply.note(key)

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
            self._dispatch.put(key)
        elif above in (Status.FAILED, Status.SKIPPED, Status.PRUNED):
            self._skip(key)

    def _skip(self, key: str) -> None:
        """End a stage that is not run: an ancestor failed, or its point was given up."""
        if self._spared(key) or self._parents[key] in self._given_up:
            self._given_up.add(key)
        self.status[key] = Status.SKIPPED
        self._unreleased -= 1
        self._end(key)
