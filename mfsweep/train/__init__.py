"""One training on one or more ranks: torch only, with no knowledge of Ray, MLflow or the store."""

from __future__ import annotations

from mfsweep.train.checkpoint import Weights, load_weights, restore
from mfsweep.train.evaluate import Predictions, errors, offsets_only, predict
from mfsweep.train.loop import KeptCheckpoint, Progress, TrainingOutcome, train
from mfsweep.train.world import World

__all__ = [
    "KeptCheckpoint",
    "Predictions",
    "Progress",
    "TrainingOutcome",
    "Weights",
    "World",
    "errors",
    "load_weights",
    "offsets_only",
    "predict",
    "restore",
    "train",
]
