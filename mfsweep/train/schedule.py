"""When the learning rate drops and when a training stops, counted in optimiser steps without a better value.

One rule for both: a value is better if it is lower than the lowest so far. After `patience_steps` without a better
one the learning rate is multiplied by `factor`, and the count for the next drop begins anew; after `stop_steps`
without a better one the training has converged.

The schedule follows one value, and a training of several heads has one for each head besides. A head that was still
better within the last `patience_steps` of a training that has converged was `improving`: by the same rule, the schedule
would not even have lowered the rate for it (docs/fairness.md#rule-10).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from mfsweep.spec.stage import Schedule


class Plateau(NamedTuple):
    """Where a training stands in its schedule."""

    learning_rate: float
    best: float = math.inf
    best_step: int = 0
    drop_step: int = 0
    """Step of the latest drop."""
    converged: bool = False


Reason = Literal["converged", "max_steps"]
"""Why a training ended."""
HeadReason = Literal["converged", "max_steps", "improving"]
"""How far a head had come by then."""


def head_reason(reason: Reason, schedule: Schedule, best_step: int, end: int) -> HeadReason:
    """Return how far a readout head had come when its training ended.

    Args:
        reason: why the training ended.
        schedule: its schedule.
        best_step: the step at which the head's own validation was best.
        end: the step at which the training ended.
    """
    # A training may stop before its patience is over: what its own value has satisfied is enough for a head.
    enough = min(schedule.patience_steps, schedule.stop_steps)
    return "improving" if reason == "converged" and end - best_step < enough else reason


def advance(plateau: Plateau, schedule: Schedule, step: int, value: float) -> Plateau:
    """Return the plateau after a validation at `step` gave `value` (lower is better)."""
    if value < plateau.best:
        return plateau._replace(best=value, best_step=step)
    if step - plateau.best_step >= schedule.stop_steps:
        return plateau._replace(converged=True)
    if step - max(plateau.best_step, plateau.drop_step) >= schedule.patience_steps:
        return plateau._replace(learning_rate=plateau.learning_rate * schedule.factor, drop_step=step)
    return plateau
