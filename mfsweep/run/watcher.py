"""What becomes of the stages while Tune runs: told to the display and the tracker, written into the stages' logs."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from mfsweep.errors import ResourceError
from mfsweep.records import Interruption
from mfsweep.run import orphans
from mfsweep.run.courier import Courier
from mfsweep.run.leaving import Leaving
from mfsweep.run.mirror import Mirror
from mfsweep.run.progress import SweepDisplay
from mfsweep.run.room import Room
from mfsweep.run.stage_queue import StageQueue
from mfsweep.run.stage_status import BEGUN, LOST, Status
from mfsweep.run.stage_trial import last_line
from mfsweep.store import StageFolder, StoreFolder

STOPPING = "Stopping: each stage saves its state and ends, which may take a minute. Ctrl-C again does not wait."
STOP_SECONDS = 30.0
"""How long the stages have for that: then Tune ends them, and they go on from their last checkpoint next time."""
LOOK_SECONDS = 15.0
"""Between two looks for worker groups that lost their trial, and at what the autoscaler refuses."""


class SweepWatcher(tune.Callback, tune.Stopper):
    """Tells the display and the tracker what becomes of the stages, and ends a run that can never be served."""

    def __init__(
        self,
        queue: StageQueue,
        room: Room,
        display: SweepDisplay,
        mirror: Mirror,
        store: StoreFolder,
        judge: Callable[[str, dict[str, Any]], None] | None = None,
        courier: Courier | None = None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Watch nothing yet.

        Args:
            queue: of the stages.
            room: that the cluster has.
            display: is told.
            mirror: is told.
            store: has the stages' logs.
            judge: takes a stage's key and progress at each validation, and may give the stage up.
            courier: carries what came of the stages to a store at a URL.
            stop: asks the stages to save their state and to end.
        """
        self._queue = queue
        self._room = room
        self._display = display
        self._mirror = mirror
        self._store = store
        self._judge = judge
        self._courier = courier
        self._stop = stop
        self._interrupt: Callable[[], object] | None = None
        """What Tune does at an interrupt, once there was one."""
        self._interrupted = 0.0
        self._orphans = orphans.Orphans()
        self._looked = time.monotonic()
        self._refusals = 0
        self._answers = False
        self.refused: ResourceError | None = None
        """Why no stage can ever be served, where that came out."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing, as the queue does."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no result ends a trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether Tune is to end everything."""
        return self.refused is not None

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Have an interrupt answered at once: Tune takes seconds to bring its trials to an end."""
        if not self._answers:
            self._answers = True
            answer_interrupts(self._answer)
        if self._interrupt and time.monotonic() - self._interrupted > STOP_SECONDS:
            interrupt, self._interrupt = self._interrupt, None
            interrupt()

    def _answer(self, interrupt: Callable[[], object]) -> None:
        """Let the stages end by themselves at the first interrupt; leave the second to Tune."""
        if self._interrupted or not self._queue.begun:
            interrupt()
            return
        self._display.say(STOPPING)
        self._interrupt, self._interrupted = interrupt, time.monotonic()
        self._queue.stop()
        self._stop()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Show what a trial reports."""
        key = self._queue.key_of(trial)
        if BEGUN in result:
            self._queue.begin(key, result[BEGUN])
            self._display.started(key)
            self._mirror.begin(key)
        elif LOST in result:
            self._queue.lose(key)
            self._display.lost(key, result[LOST])
        elif "step" in result:
            self._queue.trials[key].validated()
            if self._courier:
                self._courier.validated(key)
            if self._judge:  # before the trial is let on, which looks at once whether it was given up
                self._judge(key, result)
        self._display.reported(key, result)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say why a stage starts again."""
        key = self._queue.key_of(trial)
        what = _why(trial)
        self._queue.lose(key)
        self._display.lost(key, what)
        self._say(key, f"{what}; it starts again from its last checkpoint")
        step = (trial.last_result or {}).get("step")
        with self._told(key):
            self._store.stage(key).add_interruption(Interruption(time=time.time(), step=step, what=what))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say why a stage does not start again."""
        key, why = self._queue.key_of(trial), _why(trial)
        self._say(key, f"failed for good: {why}")
        with self._told(key):
            self._store.stage(key).fail(why)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Show which stages have ended, and look at the cluster now and then."""
        # After this, Tune's clean-up may end trials that an interrupt cut short: they are no failures.
        for key in self._queue.take_ended():
            status = self._queue.status[key]
            if status is Status.FAILED:
                self._keep_why(key)
            self._display.ended(key, status, self._word(key, status))
            if status is Status.REUSED:  # another sweep did it
                take_in(self._store.stage(key), self._mirror)
            elif status is not Status.SKIPPED:
                if self._courier:
                    self._courier.ended(key)
                self._mirror.end(key, failed=status is Status.FAILED, pruned=status is Status.PRUNED)
        self._display.waiting = self._queue.waiting.total()
        self._display.beat()
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
            self._looked = time.monotonic()

    def _word(self, key: str, status: Status) -> str:
        """Return what is said of a stage's end."""
        if status is Status.PRUNED and (pruning := self._store.stage(key).pruning()):
            return pruning.reason
        if status is Status.SKIPPED:
            return "its point was given up" if self._queue.is_given_up(key) else "an ancestor failed"
        return self._mirror.kept(key) if status is Status.DONE else ""

    def _look(self) -> None:
        """Give back what lost its trial, and stop where the cluster has come to refuse all there is."""
        self._orphans.release()
        refused = self._room.refused(self._queue.waiting, self._queue.begun)
        self._refusals = self._refusals + 1 if refused else 0
        if self._refusals > 1:  # at one look alone a node may be on its way out
            self.refused = refused
            self._queue.stop()

    def _keep_why(self, key: str) -> None:
        """Keep why a stage has failed as its trial has said it: what that has written may not be seen here yet."""
        folder, why = self._store.stage(key), self._queue.why_failed(key)
        if why and why != folder.failure():
            with self._told(key):
                folder.fail(why)

    def _say(self, key: str, what: str) -> None:
        """Say in the stage's log why its process ended: one that was killed could not."""
        with self._told(key):
            self._store.stage(key).say(what)

    @contextlib.contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Let a file that cannot be written cost its line, not the sweep."""
        try:
            yield
        except OSError as error:
            self._display.say(f"cannot write the log of {key}: {error.strerror or error}")


def answer_interrupts(answer: Callable[[Callable[[], object]], None]) -> None:
    """Let `answer` have SIGINT, with what whoever handles it now would do; in the main thread, where signals are."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return

    def first(number: int, frame: FrameType | None) -> None:
        answer(lambda: handler(number, frame))

    signal.signal(signal.SIGINT, first)


def _why(trial: Trial) -> str:
    """Return in a line why a trial's process ended."""
    error = "its process ended without an error message"
    if trial.error_file:
        with contextlib.suppress(OSError):
            # As text: to unpickle the error itself might import torch here.
            text = Path(trial.error_file).read_text(encoding="utf-8").rpartition("Failure # ")[2]
            error = last_line(text.partition("\n")[2]) or error
    _, left, why = error.partition(f"{Leaving.__name__}: ")
    return why if left else f"lost the worker: {error}"


def take_in(folder: StageFolder, mirror: Mirror) -> None:
    """Show a stage that was not trained by this sweep, and tidy it where a killed run or an earlier version left it."""
    mirror.begin(folder.key)
    mirror.end(folder.key, failed=False)
    with contextlib.suppress(OSError):  # another user's files are that user's to tidy
        if not folder.is_tidy:
            with folder.claim() as mine:
                if mine:
                    folder.tidy()
