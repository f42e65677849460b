"""One sweep in MLflow: its run and, below it, one run a stage, each brought up to date on demand.

Plain calls that may raise whatever MLflow raises; tracking.py calls them from its thread and deals with that.
Every one can be repeated: it looks at what the run holds and writes the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mfsweep.files import locked
from mfsweep.run.mlflow_experiment import METRICS_PER_CALL, NAME_LENGTH, RUN_NAME, MlflowExperiment, RunState, reason
from mfsweep.run.mlflow_names import STAGE, VIEW_KEY, VIEW_TAG, View, grouped
from mfsweep.run.tail import MetricPoint, Tail

EndStatus = Literal["FINISHED", "FAILED", "KILLED"]

KIND, SWEEP, STAGE_KEY = "mfsweep.kind", "mfsweep.sweep", "mfsweep.stage_key"
"""Tags of the runs: `sweep` or `stage`; the sweep's name; the stage's key."""
GUARD_SECONDS = 60.0
"""To wait for another sweep that makes a run at this moment; one that was stopped meanwhile is passed by."""


@dataclass(frozen=True)
class TrackedStage:
    """One stage as its MLflow run shows it."""

    key: str
    name: str
    metrics: Path
    """The stage's metrics.jsonl; it may not exist yet."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The whole lineage, flat: `pretrain_size`, `label_method`, `alpha`, `seed`, ..."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How a stage ended."""

    status: EndStatus
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    timestamp: int = field(default_factory=lambda: round(time.time() * 1000))
    """Milliseconds, taken once: a repeated write is the same write."""


@dataclass
class StageMirror:
    """A stage on its way into MLflow."""

    stage: TrackedStage
    ending: Ending | None = None
    run: RunState | None = None
    tail: Tail | None = None
    """None: the run holds all of the file already."""
    failures: int = 0


class SweepRuns:
    """The runs of one sweep in one experiment."""

    def __init__(
        self,
        experiment: MlflowExperiment,
        sweep: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        steps_per_decade: int | Literal["all"],
        guard: Path,
        abandoned: Callable[[str], bool],
    ) -> None:
        """Find the sweep's run by its name, or start one; arguments as of `Tracker.open`."""
        self._experiment = experiment
        self._sweep = sweep
        self._guard = guard
        self._abandoned = abandoned
        self._per_decade: int | Literal["all"] = steps_per_decade
        self._tags = {**tags, SWEEP: sweep}
        self._stages: dict[str, RunState] = {}
        self.doubtful = False
        """A run may have been created without our knowing: look before the next one is."""
        self.progress = time.monotonic()
        """When something was written last."""
        self.notes: list[str] = []
        """What was left out, a line each."""
        own_tags = {**{key: str(value) for key, value in params.items()}, **self._tags, KIND: "sweep"}
        with locked(guard, wait=True, patience=GUARD_SECONDS):
            found = self._look_up() or experiment.create(sweep, own_tags)
        if found.status != "RUNNING":
            experiment.set_status(found, "RUNNING")
        experiment.describe(found, {}, own_tags)
        self._run = found

    @property
    def experiment_id(self) -> str:
        """Return the experiment's id."""
        return self._experiment.id

    def answers(self) -> bool:
        """Return whether the server takes anything at all."""
        return self._experiment.takes(self._run, KIND, "sweep")

    def write(self, mirror: StageMirror) -> bool:
        """Bring one stage's run up to date; return whether it is complete."""
        ending = mirror.ending  # read before the file: what is written after the end belongs to no one
        run = mirror.run or self._take_up(mirror)
        while mirror.tail:
            points = mirror.tail.peek(METRICS_PER_CALL)
            self._log(run, points)
            mirror.tail.take()
            if not points:
                break
        if ending is None:
            return False
        if ending.status == "KILLED" and run.status == "FINISHED":
            return True  # finished by an earlier sweep; stopping this one takes nothing back
        final = [
            MetricPoint(key, value, ending.timestamp, 0)
            for key, value in ((grouped(name), value) for name, value in ending.metrics.items())
            # A curve ends with its own last point.
            if not run.steps.get(key)
            and (key not in run.values or not (key.startswith(STAGE) or _same(run.values[key], value)))
        ]
        self._experiment.describe(run, {}, ending.tags)
        if final or run.status != ending.status:
            self._log(run, final)
            self._upload(run, mirror.stage.name, ending.artifacts)
            self._experiment.set_status(run, ending.status, ending.timestamp)
            self.progress = time.monotonic()
        return True

    def deletion(self) -> str:
        """Return that the experiment was deleted; empty while it stands."""
        return self._experiment.deletion()

    def end(
        self,
        status: EndStatus,
        artifacts: Sequence[Path],
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        view: View | None = None,
    ) -> None:
        """End the sweep's own run, and what no process will end: runs of stages that the spec no longer has."""
        for key, run in self._stages.items():
            if run.status == "RUNNING" and self._abandoned(key) and self._experiment.is_running(run):
                self._experiment.set_status(run, "KILLED")
        self._experiment.describe(self._run, {}, tags)
        if view is not None:
            self._experiment.tag({f"{VIEW_TAG}{view.key}": view.state(), VIEW_KEY: view.key})
        now = round(time.time() * 1000)
        self._log(self._run, [MetricPoint(grouped(name), value, now, 0) for name, value in metrics.items()])
        self._upload(self._run, self._sweep, artifacts)
        self._experiment.set_status(self._run, status)

    def _take_up(self, mirror: StageMirror) -> RunState:
        """Find the stage's run or create it, with its params and tags."""
        stage = mirror.stage
        name = stage.name[:NAME_LENGTH]
        tags = {
            **self._tags,
            **stage.tags,
            KIND: "stage",
            STAGE_KEY: stage.key,
            "mlflow.parentRunId": self._run.run_id,
        }
        if stage.key not in self._stages and self.doubtful:
            self._look_up()
        run = self._stages.get(stage.key)
        if run is None:
            with locked(self._guard, wait=True, patience=GUARD_SECONDS):
                # Another sweep of the same spec, at work at the same time, may have made it.
                run = next(self._experiment.runs({STAGE_KEY: stage.key}), None)
                run = self._stages[stage.key] = run or self._experiment.create(name, tags)
        if self._experiment.contradicts(run, stage.params):
            # The spec names its axes or their values otherwise by now, and MLflow never changes a param.
            with locked(self._guard, wait=True):
                run = next(self._experiment.runs({STAGE_KEY: stage.key}), run)
                if self._experiment.contradicts(run, stage.params):
                    run = self._experiment.replace(run, name, tags)
            self._stages[stage.key] = run
        self._experiment.describe(run, stage.params, {**tags, RUN_NAME: name})
        if mirror.ending is None and run.status not in ("RUNNING", "FINISHED"):
            self._experiment.set_status(run, "RUNNING")
        mirror.run = run
        # A run is ended after its last metric is written, so there is nothing to look for in a finished one.
        mirror.tail = None if run.status == "FINISHED" else Tail(stage.metrics, run.steps, self._per_decade, grouped)
        return run

    def _look_up(self) -> RunState | None:
        """Learn the runs of the stages, a finished one first; return the sweep's, if there is one."""
        sweep = None
        for run in self._experiment.runs():
            key = run.tags.get(STAGE_KEY)
            if key and (key not in self._stages or run.status == "FINISHED"):
                self._stages[key] = run
            elif run.tags.get(KIND) == "sweep" and run.tags.get(SWEEP) == self._sweep:
                sweep = sweep or run
        self.doubtful = False
        return sweep

    def _log(self, run: RunState, points: Sequence[MetricPoint]) -> None:
        if points:
            self._experiment.log(run, points)
            self.progress = time.monotonic()

    def _upload(self, run: RunState, name: str, artifacts: Sequence[Path]) -> None:
        """Upload artifacts; one that the artifact storage does not take is noted, and the run goes on without it."""
        for path in artifacts:
            try:
                self._experiment.upload(run, path)
            except Exception as error:
                if not self.answers():
                    raise
                self.notes.append(f"{name}: {path.name} was not uploaded: {reason(error)}")
            self.progress = time.monotonic()


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
