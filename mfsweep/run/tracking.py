"""The MLflow sink: one experiment a spec, one run a sweep, below it one run a stage.

Records in the store are the truth; MLflow is their mirror. One writer thread brings each stage's run to what the
stage's metrics file and its `finish` say: it knows what the run holds already, and writes the rest. So writing twice
changes nothing, and an outage is caught up by the same rule, by this sweep or by the next run of its spec.

    open          TrackingError when the server cannot be used; nothing has run yet
    add, finish   never raise and never wait: they tell the writer
    close         gives the writer a last chance, and returns what could not be written
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mfsweep.errors import TrackingError
from mfsweep.masking import masked
from mfsweep.run.mlflow_experiment import SPEC, MlflowExperiment, is_refusal, reason
from mfsweep.run.mlflow_names import View
from mfsweep.run.mlflow_sweep import Ending, EndStatus, StageMirror, SweepRuns, TrackedStage

__all__ = ["EndStatus", "TrackedStage", "Tracker", "Untracked"]

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at the metrics files."""
LONGEST_WAIT = 30.0
"""Seconds between two tries during an outage, at most."""
CLOSING_INTERVAL = 0.25
"""Seconds between two tries while `close` waits."""
TRIES = 3
"""Times a stage is tried that fails although the server answers."""


@dataclass(frozen=True)
class _Closing:
    status: EndStatus
    artifacts: Sequence[Path]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    view: View | None
    patience: float
    since: float


class Tracker:
    """The mirror of one sweep. Make it with `open`."""

    def __init__(self, runs: SweepRuns, where: str) -> None:
        self._runs = runs
        self._where = where
        self._active: dict[str, StageMirror] = {}
        self._lost: list[str] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing: _Closing | None = None
        self._outage = False
        self._end_failures = 0
        """Times the server answered and did not take the end of the sweep's run."""
        self._deleted = False
        """The experiment was deleted meanwhile: nothing more is written."""
        self._writer = threading.Thread(target=self._write_until_closed, name="mfsweep-tracking", daemon=True)
        self._writer.start()

    @classmethod
    def open(
        cls,
        uri: str,
        experiment: str,
        *,
        sweep: str,
        artifacts: Path,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        steps_per_decade: int | Literal["all"] = "all",
        guard: Path,
        given: str = SPEC,
        abandoned: Callable[[str], bool] = lambda _: False,
    ) -> Tracker:
        """Connect, get or make the experiment and the sweep's run, and start the writer.

        Args:
            uri: MLflow tracking URI, for example `sqlite:////data/store/mlflow.db` or `http://host:5000`.
            experiment: name of the experiment, the spec's.
            sweep: name of the sweep. Its run is found again by this name, so a sweep that goes on stays one run.
            artifacts: folder for the artifacts of a new experiment in a database; a server has its own place.
            params: shown on the sweep's run, as tags: a sweep that goes on with one more axis value changes them, and
                MLflow never changes a param.
            tags: put on the sweep's run and on every stage's, so that a filter finds them all.
            steps_per_decade: how many of what every step writes are shown (thinning.py).
            guard: a file in the store; whoever holds its lock looks for a run and makes it where there is none, so that
                two sweeps at a time make no run twice.
            given: where the user has named the URI, for messages.
            abandoned: whether no process trains the stage of a key, of those that a run in MLflow says are at work.

        Raises:
            TrackingError: the server cannot be reached (within about ten seconds), or refuses.
        """
        where = masked(uri)
        opened = MlflowExperiment(uri, experiment, artifacts, given)
        try:
            runs = SweepRuns(opened, sweep, params or {}, tags or {}, steps_per_decade, guard, abandoned)
            return cls(runs, where)
        except Exception as error:
            raise TrackingError(f"the tracking server {where} does not take a run: {reason(error)}") from error

    @property
    def experiment(self) -> str:
        """Return the experiment's id, as the addresses of MLflow's UI have it."""
        return self._runs.experiment_id

    def add(self, stage: TrackedStage) -> None:
        """Follow a stage that starts now, or one that was trained before.

        A run of this experiment with the same stage key is taken up again, so nothing is shown twice; give stages of
        earlier runs too (with their `finish`), and what an outage kept back then is written now.
        """
        with self._lock:
            if not self._deleted:
                self._active.setdefault(stage.key, StageMirror(stage))

    def finish(
        self,
        key: str,
        status: EndStatus,
        metrics: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """End a stage's run once its metrics file is written to the end.

        Args:
            key: of a stage that was added; one that never was is ignored.
            status: FINISHED, FAILED or KILLED.
            metrics: the final numbers: the stage's own (`test.cc.energy_mae`) and its ancestors'
                (`pretrain.validation.dft.energy_mae`), shown as `test/cc.energy_mae` (mlflow_names.py). MLflow's
                compare page plots them against each other, since they stand on one run. A name with a curve is skipped.
            artifacts: files, or folders, to upload.
            tags: what became of it.
        """
        with self._lock:
            if key in self._active:  # otherwise it was given up, or failed before it began
                self._active[key].ending = Ending(status, metrics or {}, artifacts, tags or {})

    def close(
        self,
        status: EndStatus,
        artifacts: Sequence[Path] = (),
        *,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        view: View | None = None,
        patience: float = 15.0,
    ) -> list[str]:
        """Write what is left, end the sweep's run, and stop the writer.

        Stages without a `finish` are ended as KILLED.

        Args:
            status: of the sweep's run.
            artifacts: files or folders for the sweep's run: report, figures, tables.
            tags: put on the sweep's run: what came out.
            metrics: the numbers of that; a run that comes after it adds its own points.
            view: the table of the stages' runs that a link opens (mlflow_names.py).
            patience: seconds to go on without any success, for a server that does not answer.

        Returns:
            What could not be written, a line each; empty when MLflow holds everything.
        """
        with self._lock:
            for mirror in self._active.values():
                mirror.ending = mirror.ending or Ending("KILLED")
        self._closing = _Closing(status, artifacts, tags or {}, metrics or {}, view, patience, time.monotonic())
        self._wake.set()
        self._writer.join()
        return self._runs.notes + self._lost

    def _write_until_closed(self) -> None:
        wait = INTERVAL
        while True:
            self._wake.wait(wait)
            self._wake.clear()
            closing = self._closing
            answers = self._write_round()
            wait = INTERVAL if answers else min(2 * wait, LONGEST_WAIT)
            if closing:
                wait = CLOSING_INTERVAL
                if self._deleted or (answers and not self._active and self._end_sweep(closing)):
                    return
                if time.monotonic() - max(self._runs.progress, closing.since) > closing.patience:
                    self._lost.append(self._what_is_missing())
                    return

    def _write_round(self) -> bool:
        """Write what is new of every stage once; return False as soon as the server does not answer."""
        if self._deleted:
            return True
        if self._outage:
            if not self._runs.answers():
                return False
            self._outage = False
            logger.warning("the tracking server %s answers again; what it missed is being written", self._where)
        with self._lock:
            mirrors = list(self._active.values())
        for mirror in mirrors:
            try:
                done = self._runs.write(mirror)
            except Exception as error:  # noqa: BLE001  a sink never ends a training, whatever goes wrong in it
                done = self._is_lost(mirror, error)
                if self._outage or self._deleted:
                    return self._deleted
            if done:
                with self._lock:
                    del self._active[mirror.stage.key]
        return True

    def _is_lost(self, mirror: StageMirror, error: Exception) -> bool:
        """Judge a failure: an outage, which passes, or one of this stage, which is given up after a few tries."""
        self._runs.doubtful = True
        if self._is_deleted():
            return False
        if not is_refusal(error) and not self._runs.answers():
            self._say_outage(error)
            return False
        mirror.failures += 1
        if not is_refusal(error) and mirror.failures < TRIES:
            return False
        self._lost.append(f"stage {mirror.stage.name} ({mirror.stage.key}) is not complete: {reason(error)}")
        logger.warning("tracking: %s", self._lost[-1])
        return True

    def _end_sweep(self, closing: _Closing) -> bool:
        try:
            self._runs.end(closing.status, closing.artifacts, closing.tags, closing.metrics, closing.view)
        except Exception as error:  # noqa: BLE001  as in _write_round
            if self._is_deleted():
                return True
            if not is_refusal(error) and not self._runs.answers():
                self._say_outage(error)
                return False
            self._end_failures += 1
            if not is_refusal(error) and self._end_failures < TRIES:
                return False
            self._lost.append(f"the sweep's run is not ended: {reason(error)}")
        return True

    def _is_deleted(self) -> bool:
        """Return whether the experiment is gone, which is said once: every run of it refuses whatever is written."""
        if why := self._runs.deletion():
            with self._lock:
                self._deleted = True
                self._active.clear()
            logger.warning("tracking: %s; this run is mirrored no further, the spec's next one writes the rest", why)
        return self._deleted

    def _say_outage(self, error: Exception) -> None:
        if not self._outage:
            self._outage = True
            logger.warning(
                "the tracking server %s does not answer (%s); training goes on, and what it misses is written later",
                self._where,
                reason(error),
            )

    def _what_is_missing(self) -> str:
        names = [mirror.stage.name for mirror in self._active.values()]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        stages = f"{len(names)} stages are not complete there ({shown}), " if names else ""
        return f"{self._where} did not answer: {stages}the sweep's run is not ended; the next run of this spec does it"


class Untracked:
    """Stands for a tracker where there is none."""

    def add(self, stage: TrackedStage) -> None:
        """Do nothing."""

    def finish(
        self,
        key: str,
        status: EndStatus,
        metrics: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Do nothing."""

    def close(
        self,
        status: EndStatus,
        artifacts: Sequence[Path] = (),
        *,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        view: View | None = None,
    ) -> list[str]:
        """Return that nothing is missing but what was said before."""
        return []
