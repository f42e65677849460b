"""How far and how fast a stage is that is being trained: by its metrics file, which whoever sees the store can read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mfsweep.metrics_file import entries
from mfsweep.store.stage_folder import StageFolder

PAUSE = 10
"""A gap between two validations that is so many times the usual one was an interruption."""
_SPEED = "structures_per_second"


class Pace(NamedTuple):
    """How far a stage is that has begun and has no record."""

    step: int
    limit: int
    """Optimiser steps at most, or as assumed of a stage without a limit."""
    structures_per_second: float
    seconds: float
    """In training so far, as far as its validations tell."""
    heard: float
    """Unix time of its last validation, by the clock of the machine that trains it."""
    error: tuple[str, float] | None
    """Path of a validation metric, energy MAE where there is one, and its value."""


def read_pace(folder: StageFolder, limit: int) -> Pace | None:
    """Return how far a stage is by its metrics file, None before its first validation.

    Args:
        folder: the stage.
        limit: its optimiser steps at most.
    """
    try:
        found = list(entries(folder.metrics, _SPEED.encode()))
    except FileNotFoundError:
        return None
    found = [entry for entry in found if _SPEED in entry.metrics]
    if not found:
        return None
    last = found[-1]
    gaps = np.diff([entry.time for entry in found])
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    # The first validation has no line before it: it took as long as the others.
    seconds = float(np.where(gaps > PAUSE * usual, usual, gaps).sum()) + usual
    errors = {path: value for path, value in last.metrics.items() if path.startswith("validation.")}
    best = min(errors.items(), key=lambda item: (not item[0].endswith(".energy_mae"), item[0]), default=None)
    return Pace(last.step, limit, last.metrics[_SPEED], max(seconds, 0.0), last.time, best)
