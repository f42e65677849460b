"""What every part of a spec shares: frozen, no unknown fields, one spelling of names, and an identity by content."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mfsweep.fingerprint import fingerprint

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
"""A name that a user gives (label method, axis, stage, fit): no dots or spaces, so that it can be part of a path."""

LARGEST_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
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
