"""The reference of the spec language, written from its Pydantic models: no default is typed twice."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rule_links import linked

from mfsweep.spec.axes import Distribution, Value
from mfsweep.spec.base import LARGEST_SEED, Name
from mfsweep.spec.experiment import Experiment
from mfsweep.spec.figures import Cells, Figure
from mfsweep.spec.schema import Model, field_texts
from mfsweep.spec.stage import Evaluation, Stage

TEMPLATES: dict[tuple[type[BaseModel], str], Any] = {
    (Experiment, "model"): Model,
    (Experiment, "axes"): dict[Name, list[Value] | dict[Name, dict[str, Any]] | Distribution],
    (Experiment, "stages"): dict[Name, Stage],
    (Experiment, "evaluate"): tuple[Evaluation, ...],
}
"""Fields of the spec that are templates, in which `${axis}` may stand -> what each is with the axes filled in."""

HEAD = """\
# Every field of a spec

This page is written from the models in `mfsweep/spec/` when the site is built. `mfsweep schema` prints the same as a
JSON Schema, with which editors complete and check specs. [How a spec reads](../how-to/spec.md) is the place to begin.

A default of *required* means that the field must be there. `NAME` in a place is a name that you choose. In `model`,
`stages` and `evaluate` a value may be `${axis}`.
"""

_PLAIN = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
_ALIASES = {
    Cells: "mapping: axis → value, or list of values",
    Value: "text, number, true, false or null",
    Figure: "mapping: kind and fields of [a figure](#grid)",
}
"""Types that are told better by what they stand for."""
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "multiple_of": "a multiple of"}


class Section(NamedTuple):
    """One model of the language, and where it stands in a spec."""

    model: type[BaseModel]
    places: list[str]


def page() -> str:
    """Return the whole page as Markdown."""
    return linked("\n".join([HEAD, *(_section(section) for section in sections())]))


def sections() -> list[Section]:
    """Return each model once, in the order in which a spec leads to them, with every place that it stands at."""
    found: dict[type[BaseModel], Section] = {}
    for place, model in _walk("", Experiment):
        found.setdefault(model, Section(model, [])).places.append(place)
    return list(found.values())


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields that a spec may have, by the name that it uses."""
    planned = getattr(model, "PLANNED", ())
    return {field.alias or name: field for name, field in model.model_fields.items() if name not in planned}


def meaning(model: type[BaseModel], name: str) -> str:
    """Return what a field means: the text under it in the code, else what the model that it holds says of itself."""
    if name in (texts := field_texts(model)):
        return texts[name]
    field = fields(model)[name]
    if typing.get_origin(field.annotation) is Literal and len(typing.get_args(field.annotation)) == 1:
        return f"Says that it is this one: `{typing.get_args(field.annotation)[0]}`."
    held = list(dict.fromkeys(model for _, model in _held(field.annotation)))
    return inspect.cleandoc(held[0].__doc__ or "").split("\n\n")[0] if len(held) == 1 else ""


def default(field: FieldInfo) -> str:
    """Return a field's default as a spec would write it."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "*required*"
    if isinstance(value, BaseModel):
        return f"[{type(value).__name__}](#{_anchor(type(value))}) with its defaults"
    return f"`{json.dumps(value, default=list)}`"


def words(kind: Any) -> str:
    """Return what may stand in a field, in words."""
    for alias, said in (*_PLAIN.items(), *_ALIASES.items()):
        if kind == alias:
            return said
    if _is_model(kind) or hasattr(kind, "__metadata__"):
        return _bounded(kind) if hasattr(kind, "__metadata__") else f"[{kind.__name__}](#{_anchor(kind)})"
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{one if isinstance(one, str) else json.dumps(one)}`" for one in inner)
    parts = [words(one) for one in inner if one is not Ellipsis]
    if origin is dict:
        return f"mapping: {parts[0]} → {parts[1]}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"[{', '.join(parts)}]"
    return f"list of: {parts[0]}" if origin in (tuple, list) else " or ".join(dict.fromkeys(parts)) or "anything"


def _bounded(kind: Any) -> str:
    if any(getattr(one, "pattern", None) for one in kind.__metadata__):
        return "name"
    bounds = " and ".join(_bounds(kind.__metadata__))
    return words(kind.__origin__) + (f" {bounds}" if bounds else "")


def _section(section: Section) -> str:
    model, places = section
    where = ", ".join(f"`{place}`" for place in dict.fromkeys(places) if place) or "the top level of the file"
    heading = f"{places[0]}: {model.__name__}" if places[0] and len(set(places)) == 1 else model.__name__
    lines = [f"## {heading} {{ #{_anchor(model)} }}", "", f"Where: {where}", ""]
    lines += [inspect.cleandoc(model.__doc__ or ""), ""]
    lines += ["| field | may be | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in fields(model).items():
        kind = TEMPLATES.get((model, name), _annotated(field))
        cells = (f"`{name}`", words(kind), default(field), meaning(model, name).replace("\n", " "))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _annotated(field: FieldInfo) -> Any:
    """Return a field's type with the bounds that Pydantic has taken off it."""
    return typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _walk(place: str, model: type[BaseModel], inside: tuple[type[BaseModel], ...] = ()) -> Iterator[tuple[str, Any]]:
    if model in inside:
        return
    yield place, model
    for name, field in fields(model).items():
        for suffix, held in _held(TEMPLATES.get((model, name), field.annotation)):
            yield from _walk(f"{place}.{name}{suffix}".lstrip("."), held, (*inside, model))


def _held(kind: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that a type holds, each with what its place adds: `.NAME` in a mapping, `[]` in a list."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if _is_model(kind):
        yield "", kind
    elif hasattr(kind, "__metadata__"):
        yield from _held(kind.__origin__)
    elif origin is dict:
        yield from ((f".NAME{suffix}", held) for suffix, held in _held(inner[1]))
    elif origin in (tuple, list):
        yield from ((f"[]{suffix}", held) for one in inner for suffix, held in _held(one))
    elif origin in (typing.Union, types.UnionType):
        for one in inner:
            yield from _held(one)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _anchor(model: type[BaseModel]) -> str:
    return model.__name__.lower()


def _bounds(metadata: tuple[Any, ...]) -> Iterator[str]:
    for one in metadata:
        own = list(one.metadata) if isinstance(one, FieldInfo) else [one]
        for bound in own:
            for attribute, said in _BOUNDS.items():
                limit = getattr(bound, attribute, None)
                if isinstance(limit, int | float) and limit != LARGEST_SEED:
                    yield f"{said} {limit}"
