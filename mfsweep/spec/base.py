"""What every part of a spec shares: frozen, no unknown fields, one spelling of names, and an identity by content."""

from __future__ import annotations

import numbers
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

from mfsweep.fingerprint import fingerprint

LONGEST_NAME = 100
"""A file's name, of 255 bytes at most, is put together from two of them, and a metric's in MLflow, of 250."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
"""A name that a user gives (label method, axis, stage, fit): no dots or spaces, so that it can be part of a path."""


class MisplacedError(ValueError):
    """What a validator of a model refuses at a place inside it; `load` names that place and its line."""

    def __init__(self, place: tuple[str | int, ...], got: Any, expected: str) -> None:
        super().__init__(expected)
        self.place = place
        self.got = got
        self.expected = expected


# Types are strict: to Python true is 1, and Pydantic by itself takes the text "020" for 20.
def _number(value: Any) -> Any:
    is_number = isinstance(value, numbers.Real) and type(value) is not bool
    return value if is_number else _refuse(value, "a number")


def _whole(value: Any) -> Any:
    is_whole = isinstance(value, numbers.Integral) or (isinstance(value, float) and value.is_integer())
    return value if is_whole and not isinstance(value, bool) else _refuse(value, "a whole number")


def _refuse(value: Any, expected: str) -> None:
    # The ending tells a value of another kind from a wrong one: of a union the nearest option is named.
    kind = "number_type" if value is None or isinstance(value, dict | list | tuple) else "number_parsing"
    raise PydanticCustomError(kind, f"{expected} (not true or false)" if isinstance(value, bool) else expected)  # pyright: ignore[reportArgumentType] (a literal for mypy's sake)


Int = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also as 1e4 or 20.0."""
Float = Annotated[float, BeforeValidator(_number)]
Number = Annotated[int | float, BeforeValidator(_number)]
Bool = Annotated[bool, Strict()]
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
