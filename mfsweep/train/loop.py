"""One training from start, or from its last checkpoint, to its end.

At a validation everything is decided, logged and saved, in this order: metrics file, last.pt, report. Between
validations the steps run without looking up, but for a checkpoint now and then (between.py), in the same order. So
whenever the process is killed, what last.pt says is in the metrics file. Who has lost the training to another run finds
that out before either is written: by then they are the other's, or finished.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mfsweep.data.sampler import SetShare
from mfsweep.data.view import DataView
from mfsweep.errors import CheckpointError
from mfsweep.files import before_of, set_aside
from mfsweep.metrics_file import append, cut, line
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import Training
from mfsweep.train.between import Due, StateWriter
from mfsweep.train.checkpoint import copied, load, load_step, save_state, save_weights
from mfsweep.train.execution import Ran, choose
from mfsweep.train.inheritance import Inheritance
from mfsweep.train.schedule import HeadReason, Reason, head_reason
from mfsweep.train.selection import BestWeights, selection
from mfsweep.train.state import TrainingState
from mfsweep.train.steps import Period, optimise
from mfsweep.train.tally import PassId
from mfsweep.train.validation import validate, validation_of
from mfsweep.train.world import World

_LOG = logging.getLogger(__name__)
LAST = "last.pt"
SELECTED = "selected.pt"
EAGER = Execution(backend="eager")
PATIENCE = 30.0
"""Seconds for which a rank waits for the last.pt that rank 0 resumes from to appear on its machine."""


class Progress(NamedTuple):
    """Where a training stands, at a validation."""

    step: int
    max_steps: int | None
    loss: float
    """Mean training loss since the validation before."""
    learning_rate: float
    structures_per_second: float
    validation: dict[str, float]
    """By full path, `validation.<method>.<quantity>`."""


class KeptCheckpoint(NamedTuple):
    """A checkpoint that was kept."""

    metric: str
    """What was lowest there: a metric, or a weighted mean of several."""
    step: int
    value: float
    file: str
    """Relative to the stage's folder, in which the checkpoint folder lies."""


class TrainingOutcome(NamedTuple):
    """What a finished training gave."""

    steps: int
    seconds: float
    """Wall time in training, resumed parts summed."""
    stop_reason: Reason
    selected: KeptCheckpoint
    heads: dict[str, KeptCheckpoint]
    """Per readout head, the checkpoint that was best for it."""
    head_reasons: dict[str, HeadReason]
    """Per readout head, how far it had come."""
    metrics: dict[str, float]
    """Validation metrics at the selected checkpoint, of all methods and in total."""
    best_metrics: dict[str, float]
    """Those of each method at the checkpoint that was best for its head."""
    offsets: dict[str, dict[int, float]]
    """Label method -> atomic number -> E0, eV."""
    shares: list[SetShare]
    parameters: int
    """Trainable parameters."""
    ran: Ran
    """How its steps were computed, since it was last resumed."""
    inherited: Inheritance | None = None
    """How far the model was from its parent before its first step; None without one."""


def train(
    training: Training,
    view: DataView,
    *,
    checkpoints: Path,
    metrics: Path,
    parent: Path | None,
    world: World,
    report: Callable[[Progress], bool],
    execution: Execution = EAGER,
) -> TrainingOutcome | None:
    """Train until the schedule or the step limit ends it; called on every rank.

    Args:
        training: what to train.
        view: its data.
        checkpoints: folder for the checkpoints; a `last.pt` in it is resumed from.
        metrics: the metrics file to append to.
        parent: the selected.pt of the stage to start from, or the model file (`training.file`).
        world: this rank among its group.
        report: called on rank 0 at every validation, when the state is saved; False stops the training there.
        execution: by which kernels its steps are computed, and how often its state is saved between validations.

    Returns:
        What it gave, or None on every rank where `report` stopped it, another run has taken it over, or the machine of
        a rank is about to go.

    Raises:
        TrainingError: a loss that is not finite, a parent or checkpoint that does not fit, an unknown `select_on`.
        DataError: a labelled set, a validation set or the energy offsets cannot be had.
    """
    began = time.monotonic()
    validations = {method: validation_of(training, view, method) for method in training.methods}
    heads: dict[str, dict[str, float]] = {}
    for method, own in validations.items():
        heads.setdefault(own.head, {})[method] = own.share
    quantities = {method: own.quantities(view) for method, own in validations.items()}
    keep = selection(training.recipe.select_on, heads, quantities)
    state = TrainingState(training, view, keep, parent, world)
    _resume(state, checkpoints / LAST, world)
    if world.rank == 0:
        cut(metrics, state.step)
    chosen = choose(execution, state, view, world)
    earlier = state.seconds
    with StateWriter(metrics, checkpoints / LAST, world.is_lost) as writer:
        due = Due(execution.checkpoint_every_minutes, world, lambda: writer.is_busy)
        while state.stop_reason is None:
            until = _next_validation(training, state.step)
            period = optimise(state, view, until, world, chosen, due.is_due)
            whole = state.unvalidated = period.after(state.unvalidated)
            lines = _step_lines(state, period) if world.rank == 0 else []
            state.seconds = earlier + time.monotonic() - began
            if state.step < until:
                if world.rank == 0:
                    writer.begin(lines, copied(state.dump()))
                due.saved()
                if not due.is_leaving:
                    continue
                writer.wait()
                world.agree(flag=False)  # no rank leaves before rank 0 has written
                return None
            found = validate(state, view, validations, world)
            rate = state.plateau.learning_rate
            state.observe(found)
            state.seconds = earlier + time.monotonic() - began
            go_on = True
            if world.rank == 0:
                writer.wait()
                go_on = not world.is_lost()
            if world.rank == 0 and go_on:
                speed = whole.structures_per_second
                measured = {**found, "learning_rate": rate, "structures_per_second": speed}
                append(metrics, [*lines, _validation_line(state, measured)])
                save_state(checkpoints / LAST, state.dump())
                limit = training.recipe.max_steps
                go_on = report(Progress(state.step, limit, whole.mean_loss, rate, speed, found))
            due.saved()
            if not world.agree(flag=go_on):
                return None
    return _finish(state, checkpoints, world, chosen.ran)


def _resume(state: TrainingState, last: Path, world: World) -> None:
    """Stand where `last` was saved, if there is one: rank 0 looks, and the others follow it.

    Where it is damaged, or was not written to its end, the one before it takes its place.
    """
    before = before_of(last)
    for path in (last, before) if world.rank == 0 else ():
        if not path.exists():
            continue
        try:
            state.restore(load(path))
        except CheckpointError as error:
            rest = "goes on from the one before" if path == last and before.exists() else "starts from its beginning"
            _LOG.warning(f"{error}. It is set aside as {set_aside(path).name}, and the stage {rest}")
        else:
            if path == before:
                _LOG.warning(f"the stage goes on from {before.name}, of step {state.step}")
                before.replace(last)
            break
    step = world.follow(state.step)
    if step != state.step:
        state.restore(load_step(last, step, PATIENCE))


def _next_validation(training: Training, step: int) -> int:
    every, limit = training.recipe.validate_every, training.recipe.max_steps
    until = (step // every + 1) * every
    return until if limit is None else min(until, limit)


def _step_lines(state: TrainingState, period: Period) -> list[str]:
    """Return the metrics file's lines of some steps, one for each."""
    lines = []
    for row, time_ in enumerate(period.times):
        losses, counts = period.losses[row], period.counts[row]
        found = {"train.loss": float(losses.sum() / counts.sum())}
        for method, loss, count in zip(state.training.methods, losses, counts, strict=True):
            if count:
                found[f"train.{method}.loss"] = float(loss / count)
        for finished in period.passes[row]:
            own = state.training.sets[finished.set]
            path = f"pass.{own.labels}.{own.subset}"
            found[f"{path}.structures"] = float(period.trained[PassId(finished.set, finished.number)])
            found[f"{path}.expected"] = float(finished.expected)
            found[f"{path}.fill"] = finished.fill
        lines.append(line(period.first + row + 1, found, time_))
    return lines


def _validation_line(state: TrainingState, validation: dict[str, float]) -> str:
    """Return the metrics file's line of a validation."""
    return line(state.step, validation | _shares(state.sampler.shares()), time.time())


def _shares(sets: list[SetShare]) -> dict[str, float]:
    """Return each labelled set's part of everything drawn so far, beside the probability asked for."""
    found: dict[str, float] = {}
    for own in sets:
        path = f"share.{own.labels}.{own.subset}"
        found[f"{path}.requested"] = own.requested
        for name in ("batches", "structures", "atoms"):
            found[f"{path}.{name}"] = getattr(own, name) / sum(getattr(other, name) for other in sets)
    return found


def _finish(state: TrainingState, checkpoints: Path, world: World, ran: Ran) -> TrainingOutcome:
    """Write the kept models and return the outcome."""
    reason, kept = state.stop_reason, state.selection
    assert reason is not None
    assert kept.selected is not None

    files: dict[int, str] = {}
    """Step -> the file of its weights: a step that several criteria chose is written once."""

    def write(best: BestWeights, file: str) -> KeptCheckpoint:
        if best.step not in files:
            files[best.step] = file
            if world.rank == 0:
                state.flat.load(best.parameters)
                save_weights(checkpoints / file, state.weights(best.step))
        return KeptCheckpoint(best.metric, best.step, best.value, f"{checkpoints.name}/{files[best.step]}")

    selected = write(kept.selected, SELECTED)
    heads: dict[str, KeptCheckpoint] = {}
    reasons: dict[str, HeadReason] = {}
    for head, best in kept.heads.items():
        heads[head] = write(best, f"best.{head}.pt")
        reasons[head] = head_reason(reason, state.training.recipe.schedule, best.step, state.step)
    best_metrics: dict[str, float] = {}
    for method in state.training.methods:
        found = kept.heads[state.training.head_of(method)].metrics
        best_metrics |= {path: value for path, value in found.items() if path.startswith(f"validation.{method}.")}
    world.agree(flag=True)  # no rank leaves before rank 0 has written
    return TrainingOutcome(
        steps=state.step,
        seconds=state.seconds,
        stop_reason=reason,
        selected=selected,
        heads=heads,
        head_reasons=reasons,
        metrics=dict(kept.selected.metrics),
        best_metrics=best_metrics,
        offsets=state.offsets,
        shares=state.sampler.shares(),
        parameters=state.flat.count,
        ran=ran,
        inherited=state.inherited,
    )
