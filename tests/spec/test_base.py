"""Every field of every model of a spec that takes numbers refuses true and false, wherever the number stands in it."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

import mfsweep
from mfsweep.data.labellers import pyscf_methods, xtb
from mfsweep.spec.axes import Distribution
from mfsweep.spec.base import Frozen, Int
from mfsweep.spec.batching import Batching
from mfsweep.spec.execution import Execution
from mfsweep.spec.figures import Curve

PACKAGE = Path(mfsweep.__file__).parent
for file in sorted(PACKAGE.rglob("*.py")):  # so that the cases are all of them, whatever other tests have imported
    if "(Frozen)" in file.read_text():
        importlib.import_module(".".join(("mfsweep", *file.relative_to(PACKAGE).with_suffix("").parts)))
LABELLERS = {
    own
    for module in (pyscf_methods, xtb)
    for _, own in inspect.getmembers(module, inspect.isclass)
    if hasattr(own, "model_fields")
}


def models(base: type = Frozen) -> Iterator[type[Frozen]]:
    for own in base.__subclasses__():
        yield own
        yield from models(own)


def numbers_in(kind: Any) -> Iterator[Any]:
    """Yield values of a type in which one number is True; none where the type takes booleans itself."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in (int, float):
        yield True
    elif origin is Annotated:
        yield from numbers_in(inner[0])
    elif origin in (typing.Union, types.UnionType):
        if bool not in inner:
            for option in inner:
                yield from numbers_in(option)
    elif origin is dict:
        yield from ({"x": value} for value in numbers_in(inner[1]))
    elif origin is tuple and inner[-1] is Ellipsis:
        yield from ((value,) for value in numbers_in(inner[0]))
    elif origin is tuple:
        yield from (
            tuple(1 if kind is not own else value for kind in inner) for own in inner for value in numbers_in(own)
        )


CASES = [
    (model, name, field, value)
    for model in sorted({*models(), *LABELLERS}, key=lambda own: (own.__module__, own.__name__))
    if model.__module__.startswith("mfsweep.")
    for name, field in model.model_fields.items()
    for value in numbers_in(field.annotation)
]


@pytest.mark.parametrize(
    ("model", "name", "field", "value"), CASES, ids=[f"{model.__name__}.{name}" for model, name, *_ in CASES]
)
def test_a_boolean_is_no_number(model, name, field, value):
    kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    with pytest.raises(ValidationError, match="not true or false"):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("value", ["20", "020", "1e-3", "on", "yes", "true", 1, 0, 1.0])
def test_a_text_is_no_number_and_neither_is_a_boolean(value):
    """Pydantic by itself takes the text "020" for 20, and "on" or 1 for true."""
    for model in {model for model, *_ in CASES if model not in LABELLERS} | {Batching, Curve, Distribution, Execution}:
        for name, field in model.model_fields.items():
            kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            if field.annotation is bool or (isinstance(value, str) and field.annotation in (int, float)):
                with pytest.raises(ValidationError):
                    TypeAdapter(kind).validate_python(value)
                assert name


def test_whole_numbers_may_have_an_exponent():
    assert TypeAdapter(Int).validate_python(1e4) == 10_000
    with pytest.raises(ValidationError, match="a whole number"):
        TypeAdapter(Int).validate_python(1.5)


def test_the_fields_are_those_that_take_numbers():
    names = {f"{model.__name__}.{name}" for model, name, *_ in CASES}
    assert {"MixtureSet.size", "MixtureSet.range", "Mace.channels", "Recipe.select_on", "Splits.seed"} <= names
    assert {"Subset.size", "Pareto.costs", "Resources.workers", "Distribution.low", "LossWeights.energy"} <= names
    assert "Job.lease" in names
    assert not names & {"Batching.adapt_bins", "Curve.log", "Claim.this"}
