"""A metric, by its path (quantities.py), found among those of a trained stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.analysis.records import Stage
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import MetricPath


class Found(NamedTuple):
    """A metric of one stage."""

    value: float
    method: str | None
    """The method it was measured against; None for a validation loss summed over methods."""


def find(stage: Stage, path: MetricPath) -> Found | None:
    """Return a metric of a trained stage, or None where the stage does not have it.

    Raises:
        FitError: several methods fit a path that names none.
    """
    keys = path.among(stage.metrics)
    methods = [key.split(".")[1] if key.count(".") == 2 else None for key in keys]
    if len(keys) > 1:
        known = " and ".join(str(method) for method in methods)
        example = path._replace(method=methods[0])
        raise FitError(f"{path}: stage {path.stage!r} has {known} there; name one, as in {example}")
    return Found(stage.metrics[keys[0]], methods[0]) if keys else None


def absent(path: MetricPath, stages: Sequence[Stage]) -> str:
    """Return the error text for a metric that none of the trained stages has."""
    known = sorted({f"{path.stage}.{key}" for stage in stages for key in stage.metrics})
    return f"{path}: the trained stages have no such metric; they have {', '.join(known)}.{nearest(str(path), known)}"
