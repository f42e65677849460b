"""A metric, by its path (quantities.py), found among those of a trained stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.analysis.records import TrainedStage
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import MetricPath, told_apart


class StageMetric(NamedTuple):
    """A metric of one stage."""

    value: float
    key: str
    """What it is called in the stage, `<part>.<method>.<quantity>`."""

    @property
    def name(self) -> str:
        """Return what it is called without its quantity, `test.cc`."""
        return self.key.rpartition(".")[0]

    @property
    def method(self) -> str | None:
        """Return the method it was measured against, as a path says it; None for a loss over all methods."""
        return self.name.partition(".")[2] or None


def find(stage: TrainedStage, path: MetricPath) -> StageMetric | None:
    """Return a metric of a trained stage, or None where the stage does not have it.

    Raises:
        FitError: several metrics fit a path that leaves the method or the subset open.
    """
    keys = path.among(stage.metrics)
    if len(keys) > 1:
        known = " and ".join(told_apart(keys))
        raise FitError(f"{path}: stage {path.stage!r} has {known} there; name one, as in {path.stage}.{keys[0]}")
    return StageMetric(stage.metrics[keys[0]], keys[0]) if keys else None


def absent(path: MetricPath, stages: Sequence[TrainedStage]) -> str:
    """Return the error text for a metric that none of the trained stages has."""
    known = sorted({f"{path.stage}.{key}" for stage in stages for key in stage.metrics})
    return f"{path}: the trained stages have no such metric; they have {', '.join(known)}.{nearest(str(path), known)}"
