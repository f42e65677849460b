"""Performing one stage: train, record, evaluate. Knows the store and train/, and no Ray.

`perform` is called by every rank of a stage's worker group, and by the one process of a one-worker stage.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mfsweep.data.source import verify_data, verify_file, verify_labels
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.view import DataView, open_view
from mfsweep.errors import StoreError, TrainingError
from mfsweep.files import sha256, write_file, write_text
from mfsweep.models.versions import versions
from mfsweep.quantities import Quantity
from mfsweep.records import BestCheckpoint, EvaluationRecord, ExecutionRecord, InheritanceRecord, Machine, Record, Share
from mfsweep.run.job import Job
from mfsweep.run.machine import machine, machines
from mfsweep.run.meter import Meter
from mfsweep.run.stage_log import warnings_to
from mfsweep.run.weights import sound_weights
from mfsweep.spec.stage import Evaluation
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.train.checkpoint import load_weights, restore
from mfsweep.train.evaluate import Predictions, errors, offsets_only, predict
from mfsweep.train.loop import KeptCheckpoint, Progress, TrainingOutcome, train
from mfsweep.train.parity import in_full_precision
from mfsweep.train.world import World
from mfsweep.usage_record import together

_LOG = logging.getLogger(__name__)


def perform(job: Job, world: World, report: Callable[[Progress], bool]) -> bool:
    """Train the stage unless it has a record, tidy its folder, then make the evaluations that it lacks.

    Args:
        job: the stage.
        world: this rank among those of the stage.
        report: takes the progress on rank 0 at every validation; False asks to stop.

    Returns:
        False when `report` asked to stop; whole state is on disk then, and a later call goes on from it.

    Raises:
        MfsweepError: the data are not those of the plan, or the training cannot go on.
    """
    with warnings_to(job.folder):
        return _perform(job, world, report)


def _perform(job: Job, world: World, report: Callable[[Progress], bool]) -> bool:
    store, folder = StoreFolder(Path(job.store)), job.folder
    verify_data(job.paths, job.training.data, store.digests)
    view = open_view(job.paths, job.data, store.edges)
    if not _is_trained(job, folder, world):
        if world.rank == 0:
            write_text(folder.training, job.training.model_dump_json(indent=1))
        started = time.time()
        with Meter(folder.usage, world.rank, world.device, shared=job.resources.device_share < 1):
            outcome = train(
                job.training,
                view,
                checkpoints=folder.checkpoints,
                metrics=folder.metrics,
                parent=_parent(job, store),
                world=world,
                report=report,
                execution=job.execution,
            )
        if outcome is None:
            return False
        found = machines(world)  # after which every rank has written what it used
        if world.rank == 0:
            folder.write_record(_record(job, outcome, started, found, world))
    if world.rank == 0:
        _tidy(folder, job.execution.keep)
        for evaluation in job.evaluations:
            if folder.evaluation(evaluation.identity()) is None:
                verify_labels(job.paths, job.data.labels, dict(evaluation.contents or ()), store.digests)
                _evaluate(job, folder, view, evaluation, world.device)
    return True


def _is_trained(job: Job, folder: StageFolder, world: World) -> bool:
    """Return whether the stage has a record, after rank 0 has set aside what is damaged; the others follow it.

    Raises:
        StoreError: what is there is not ours to make again.
    """
    damaged = folder.damaged([evaluation.identity() for evaluation in job.evaluations])
    record = folder.record()
    if record is not None:
        damaged += filter(None, map(folder.damaged_weights, record.kept))
    for one in damaged:
        if one.whole:
            raise StoreError(f"the stage {folder.key} cannot be run: {one}")
    if damaged and world.rank == 0:
        folder.set_aside(damaged)
        _LOG.warning("; ".join(map(str, damaged)) + ": set aside, and made again")
    return world.agree(flag=folder.record() is not None)


def _tidy(folder: StageFolder, keep: Literal["selected", "all"]) -> None:
    """Tidy a trained stage; where that fails its results still stand, and the next run tries again."""
    try:
        folder.tidy(keep=keep)
    except OSError as error:
        _LOG.warning("%s keeps files that a trained stage does not need: %s", folder.path, error)


def _parent(job: Job, store: StoreFolder) -> Path | None:
    """Return the file that the stage starts from, None where it starts fresh.

    Raises:
        DataError: a model file is not the one of the plan.
        StoreError: the parent is not trained any more, or its weights are damaged.
    """
    if job.training.file is not None:
        assert job.parent_file is not None, "where the model file lies"
        path = Path(job.parent_file)
        verify_file(path, job.training.file)  # read anew: what was remembered of it is no proof of what is read now
        return path
    if job.training.parent is None:
        return None
    parent = store.stage(job.training.parent)
    record = parent.record()
    if record is None:
        raise StoreError(f"the stage {parent.key}, from which this one starts, has no record any more: run it again")
    return sound_weights(parent, record.selected)


def _record(job: Job, outcome: TrainingOutcome, started: float, found: list[Machine], world: World) -> Record:
    return Record(
        key=job.training.key,
        training=job.training.identity(),
        parent=job.training.parent,
        started=started,
        seconds=outcome.seconds,
        steps=outcome.steps,
        stop_reason=outcome.stop_reason,
        selected=_best(job, outcome.selected),
        heads={head: _best(job, best) for head, best in outcome.heads.items()},
        head_reasons=outcome.head_reasons,
        metrics=outcome.metrics,
        best_metrics=outcome.best_metrics,
        offsets={
            method: {SYMBOLS[number]: value for number, value in offsets.items()}
            for method, offsets in outcome.offsets.items()
        },
        shares=[
            Share(**share._asdict(), head=labelled.trains)
            for share, labelled in zip(outcome.shares, job.training.sets, strict=True)
        ],
        parameters=outcome.parameters,
        inherited=None if outcome.inherited is None else InheritanceRecord(**outcome.inherited._asdict()),
        workers=world.size,
        device_share=job.resources.device_share,
        host=platform.node(),
        versions=versions(),
        machines=found,
        execution=ExecutionRecord(**outcome.ran._asdict()),
        usage=together(job.folder.usage_parts()),
        interruptions=job.folder.interruptions(),
    )


def _best(job: Job, kept: KeptCheckpoint) -> BestCheckpoint:
    return BestCheckpoint(**kept._asdict(), sha256=sha256(job.folder.path / kept.file))


def _evaluate(job: Job, folder: StageFolder, view: DataView, evaluation: Evaluation, device: torch.device) -> None:
    head = evaluation.head or job.training.head_of(evaluation.labels)
    record = folder.record()
    assert record is not None, "evaluated once it is trained"
    kept = record.heads[head] if evaluation.checkpoint == "best" else record.selected
    weights = load_weights(folder.path / kept.file)
    model = restore(weights, device)
    offsets = view.offsets(evaluation.offsets or evaluation.labels, job.training.sets)
    base = evaluation.base
    # A process keeps the TF32 of the stage that it trained last, this one or another.
    predictions = in_full_precision(
        lambda: predict(
            model,
            view,
            view.part(evaluation, job.training.sets),
            evaluation.labels,
            offsets=offsets,
            forces=all(job.data.has_forces(method) for method in (evaluation.labels, base) if method),
            head=head,
            base=base,
            max_atoms=job.training.recipe.batch.max_atoms,
            max_edges=job.training.recipe.max_edges,
        )
    )
    _, arrays = folder.evaluation_paths(evaluation.identity())
    write_file(arrays, lambda path: save_predictions(path, predictions))
    folder.write_evaluation(
        EvaluationRecord(
            name=evaluation.name,
            evaluation=evaluation.identity(),
            metrics=_finite(evaluation, errors(predictions)),
            offsets_only=_finite(evaluation, errors(offsets_only(predictions, view, offsets, base))),
            structures=len(predictions.index),
            step=weights.step,
            versions=versions(),
            machine=machine(device),
            predictions=arrays.name,
        )
    )


def _finite(evaluation: Evaluation, found: dict[Quantity, float]) -> dict[str, float]:
    """Return errors as a record holds them.

    Raises:
        TrainingError: one is not finite, though all predictions are: they are absurdly large.
    """
    for quantity, value in found.items():
        if not np.isfinite(value):
            raise TrainingError(
                f"{evaluation.name}.{quantity} is not finite: the predictions are too large for it. Lower the stage's "
                "learning_rate"
            )
    return {**found}


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions as they lie in a store."""
    with path.open("wb") as file:
        np.savez_compressed(file, **{name: array for name, array in predictions._asdict().items() if array is not None})
