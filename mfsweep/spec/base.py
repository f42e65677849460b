"""What every part of a spec shares: frozen, no unknown fields, one spelling of names, and an identity by content."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from mfsweep.fingerprint import fingerprint

LONGEST_NAME = 100
"""A file's name, of 255 bytes at most, is put together from two of them, and a metric's in MLflow, of 250."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
"""A name that a user gives (label method, axis, stage, fit): no dots or spaces, so that it can be part of a path."""


def _not_boolean(value: Any) -> Any:
    # To Python true is 1: a size of one structure, or a rate of 1.
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")  # noqa: TRY004 (what Pydantic takes for a refusal)
    return value


_NOT_BOOLEAN = BeforeValidator(_not_boolean)
Int = Annotated[int, _NOT_BOOLEAN]
Float = Annotated[float, _NOT_BOOLEAN]
Number = Annotated[int | float, _NOT_BOOLEAN]
PositiveInt = Annotated[Int, Field(gt=0)]
NonNegativeInt = Annotated[Int, Field(ge=0)]
PositiveFloat = Annotated[Float, Field(gt=0)]
NonNegativeFloat = Annotated[Float, Field(ge=0)]

LARGEST_SEED = 2**63 - 1
Seed = Annotated[Int, Field(ge=0, le=LARGEST_SEED)]
"""What NumPy and torch both take."""


class Frozen(BaseModel):
    """Base of all spec models: immutable, unknown fields refused, values checked and never rewritten."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def identity(self) -> dict[str, Any]:
        """Return plain data that names this model by content; unset (None) fields are left out.

        Leaving them out lets a later version add an optional field without changing any existing key.
        """
        return self.model_dump(mode="json", exclude_none=True)

    def but(self, **changes: Any) -> Self:
        """Return this model with some fields changed, validated."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    @cached_property
    def key(self) -> str:
        """Return the fingerprint of the identity."""
        return fingerprint(self.identity())
