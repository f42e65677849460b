"""When the learning rate drops and when a training stops, counted in optimiser steps without a better value.

One rule for both: a value is better if it is lower than the lowest so far. After `patience_steps` without a better
one the learning rate is multiplied by `factor`, and the count for the next drop begins anew; after `stop_steps`
without a better one the training has converged.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mfsweep.spec.stage import Schedule


class Plateau(NamedTuple):
    """Where a training stands in its schedule."""

    learning_rate: float
    best: float = math.inf
    best_step: int = 0
    drop_step: int = 0
    """Step of the latest drop."""
    converged: bool = False


def advance(plateau: Plateau, schedule: Schedule, step: int, value: float) -> Plateau:
    """Return the plateau after a validation at `step` gave `value` (lower is better)."""
    if value < plateau.best:
        return plateau._replace(best=value, best_step=step)
    if step - plateau.best_step >= schedule.stop_steps:
        return plateau._replace(converged=True)
    if step - max(plateau.best_step, plateau.drop_step) >= schedule.patience_steps:
        return plateau._replace(learning_rate=plateau.learning_rate * schedule.factor, drop_step=step)
    return plateau
