"""What readers take from the plain data in a record, whatever version wrote it: without that it is no record.

A record keeps identities in full, as plain data, so that a version that has come to know more reads what an older one
wrote. The parts that are looked up in them are checked when a record is read, so that no odd file ends in a traceback.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationError

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number with which can be computed: a larger one may be none that a float can hold."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Splits(_Shape):
    seed: StrictInt


class _Data(_Shape):
    digest: str
    splits: _Splits


class _Model(_Shape):
    architecture: str


class _Set(_Shape):
    labels: str
    head: str | None = None


class TrainingShape(_Shape):
    """The shape of `Record.training`."""

    seed: StrictInt
    data: _Data
    model: _Model
    sets: list[_Set]


class EvaluationShape(_Shape):
    """The shape of `EvaluationRecord.evaluation`."""

    labels: str
    subset: str
    part: str
    head: str | None = None
    checkpoint: str | None = None


def holds(kind: type[_Shape]) -> AfterValidator:
    """Return the check that plain data hold what a shape says; they stay as they are."""

    def check(found: dict[str, Any]) -> dict[str, Any]:
        try:
            kind.model_validate(found)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise ValueError(f"{place}, which is missing or of another kind") from None
        return found

    return AfterValidator(check)


def _require_paths(metrics: dict[str, float]) -> dict[str, float]:
    for name in metrics:
        if "." not in name:
            raise ValueError(f"{name!r} is no metric of a stage, as validation.cc.energy_mae is")
    return metrics


Metrics = Annotated[dict[str, float], AfterValidator(_require_paths)]
"""Name -> value, of a stage."""
