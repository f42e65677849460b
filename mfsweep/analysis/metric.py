"""A metric by its path, `<stage|result>.<part>[.<method>].<quantity>`, found among those of a trained stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.analysis.records import Stage, refuse_ambiguous
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import Quantity, metric_path

PARTS = ("train", "validation", "test")
RESULT = "result"


class MetricPath(NamedTuple):
    """The parts of `<stage|result>.<part>[.<method>].<quantity>`."""

    stage: str
    """Stage name, or `result`."""
    part: str
    """train | validation | test."""
    method: str | None
    """Label method, with `@<head>` where another method's head predicts; None: the only one there."""
    quantity: Quantity

    def __str__(self) -> str:
        """Return the path as a spec writes it."""
        return ".".join(piece for piece in (self.stage, self.part, self.method, self.quantity) if piece is not None)

    @classmethod
    def parse(cls, path: str) -> MetricPath:
        """Read a path.

        Raises:
            FitError: not of that form, or the part or the quantity does not exist.
        """
        pieces = path.split(".")
        if len(pieces) not in (3, 4):
            form = "`<stage|result>.<part>[.<method>].<quantity>`, for example result.test.cc.energy_mae"
            raise FitError(f"{path!r} is not the path of a metric: expected {form}")
        part, quantity = pieces[1], pieces[-1]
        if part not in PARTS:
            raise FitError(f"{path}: no part {part!r}; there are {', '.join(PARTS)}.{nearest(part, PARTS)}")
        if quantity not in list(Quantity):
            known = ", ".join(Quantity)
            raise FitError(
                f"{path}: no quantity {quantity!r}; there are {known}.{nearest(quantity, map(str, Quantity))}"
            )
        return cls(pieces[0], part, pieces[2] if len(pieces) == 4 else None, Quantity(quantity))


class Found(NamedTuple):
    """A metric of one stage."""

    value: float
    method: str | None
    """The method it was measured against; None for a validation loss summed over methods."""


def find(stage: Stage, metric: MetricPath) -> Found | None:
    """Return a metric of a trained stage, or None where the stage does not have it.

    Raises:
        FitError: several methods fit a path that names none, or several evaluations one that does.
    """
    if metric.method is not None:
        refuse_ambiguous(stage, f"{metric.part}.{metric.method}", str(metric))
        value = stage.metrics.get(metric_path(metric.part, metric.method, metric.quantity))
        return None if value is None else Found(value, metric.method)
    pooled = stage.metrics.get(f"{metric.part}.{metric.quantity}")
    if pooled is not None:
        return Found(pooled, None)
    methods = [method for part, method, quantity in _split(stage) if (part, quantity) == (metric.part, metric.quantity)]
    if len(methods) > 1:  # `cc` means its own head; `cc@dft` has to be asked for
        methods = [method for method in methods if "@" not in method] or methods
    if len(methods) > 1:
        example = metric._replace(method=methods[0])
        raise FitError(f"{metric}: stage {metric.stage!r} has {' and '.join(methods)} there; name one, as in {example}")
    return find(stage, metric._replace(method=methods[0])) if methods else None


def _split(stage: Stage) -> list[tuple[str, str, str]]:
    """Return (part, method, quantity) of a stage's metrics; what is pooled over methods is left out."""
    keys = [tuple(key.split(".")) for key in stage.metrics]
    return [key for key in keys if len(key) == 3]


def absent(path: MetricPath, stages: Sequence[Stage]) -> str:
    """Return the error text for a metric that none of the trained stages has."""
    known = sorted({f"{path.stage}.{key}" for stage in stages for key in stage.metrics})
    return f"{path}: the trained stages have no such metric; they have {', '.join(known)}.{nearest(str(path), known)}"
