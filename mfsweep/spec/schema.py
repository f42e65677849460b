"""The JSON Schema (draft 2020-12) of the spec language, for editors; the loader says more, and says it better.

What the templates hold (`model`, `stages`, `evaluate`) may be a reference, `${axis}`, at every place.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from mfsweep.models.registry import Model
from mfsweep.spec.axes import SEEDS, Distribution
from mfsweep.spec.base import LARGEST_SEED
from mfsweep.spec.experiment import Experiment
from mfsweep.spec.stage import Evaluation, Stage
from mfsweep.spec.templates import CONTINUED_NEVER
from mfsweep.spec.wording import is_model

_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[^{}]+\}",
    "description": "${axis}, or ${axis.field} of an axis with bundles: filled in cell by cell",
}
_AXIS_NAME = "^[A-Za-z][A-Za-z0-9_-]*$"
_PLAIN = {"type": ["string", "number", "boolean", "null"]}
_HERE = "#/$defs/"
_BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
}
"""What Pydantic writes of a bound behind a check of ours -> JSON Schema's own word."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a whole spec."""
    defs: dict[str, Any] = {"reference": _REFERENCE}
    schema = _of(Experiment, defs, "", templated=False)
    stage = _of(Stage, defs, "template.", templated=True)
    model = _of(Model, defs, "template.", templated=True)
    evaluation = _of(Evaluation, defs, "template.", templated=True)
    distribution = _of(Distribution, defs, "", templated=False)
    recipe: dict[str, Any] = {name: own for name, own in stage["properties"].items() if name not in CONTINUED_NEVER}
    stage["properties"]["continued"] = {
        "type": "object",
        "description": "Fields of the recipe that hold where the stage has a parent.",
        "properties": recipe,
        "additionalProperties": False,
    }
    defs |= {"stage": stage, "axes": _axes(distribution)}
    properties = schema["properties"]
    instead: dict[str, dict[str, Any]] = {
        "model": {"anyOf": [model, _ref("reference")]},
        "evaluate": {"anyOf": [{"type": "array", "items": _or_reference(evaluation)}, _ref("reference")]},
        "stages": {**properties["stages"], "patternProperties": {_AXIS_NAME: _ref("stage")}},
        "axes": {"anyOf": [_ref("axes"), {"type": "array", "minItems": 1, "items": _ref("axes")}]},
    }
    for name, own in instead.items():
        described = {"description": text} if (text := properties[name].get("description")) else {}
        properties[name] = described | own
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mfsweep spec",
        **{key: item for key, item in schema.items() if key != "title"},
        "$defs": defs,
    }


def _axes(distribution: dict[str, Any]) -> dict[str, Any]:
    bundles: dict[str, Any] = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}}
    values: dict[str, Any] = {"type": "array", "minItems": 1, "uniqueItems": True, "items": _PLAIN}
    seeds: dict[str, Any] = {**values, "items": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED}}
    return {
        "type": "object",
        "description": "Axis -> its values: a list, bundles (name: {field: value}), or a distribution of a search.",
        "properties": dict.fromkeys(SEEDS, seeds),
        "propertyNames": {"pattern": _AXIS_NAME},
        "additionalProperties": {"anyOf": [values, bundles, distribution]},
    }


def _of(kind: Any, defs: dict[str, Any], prefix: str, *, templated: bool) -> dict[str, Any]:
    """Return the schema of a type, with references admitted where it is `templated`; what it refers to into `defs`."""
    schema = TypeAdapter(kind).json_schema(ref_template=f"{_HERE}{prefix}{{model}}")
    models = {model.__name__: model for model in _models(kind)}
    inner: dict[str, Any] = schema.pop("$defs", {})
    for name, own in inner.items():
        defs.setdefault(f"{prefix}{name}", _mended(own, models, templated=templated))
    return _mended(schema, models, templated=templated)


def _mended(schema: dict[str, Any], models: dict[str, type[BaseModel]], *, templated: bool) -> dict[str, Any]:
    """Return a schema as specs are read: descriptions, no planned fields, one of several kinds by what fits."""

    def inner(part: dict[str, Any], *, wrapped: bool = True) -> dict[str, Any]:
        mended = _mended(part, models, templated=templated)
        return _or_reference(mended) if templated and wrapped else mended

    made = {_BOUNDS.get(key, key): item for key, item in schema.items() if key not in ("discriminator", "title")}
    model = models.get(schema.get("title", ""))
    if "properties" in made:
        planned = getattr(model, "PLANNED", ())
        texts = field_texts(model) if model else {}
        made["properties"] = {
            name: ({"description": texts[name]} if name in texts else {}) | inner(own)
            for name, own in made["properties"].items()
            if name not in planned
        }
    if "patternProperties" in made:
        made["patternProperties"] = {name: inner(own) for name, own in made["patternProperties"].items()}
        made["additionalProperties"] = False
    elif isinstance(made.get("additionalProperties"), dict):
        made["additionalProperties"] = inner(made["additionalProperties"])
    for key in ("anyOf", "oneOf", "prefixItems"):
        if key in made:
            # Several kinds may fit one value, where fields are left to their defaults.
            parts = [inner(own, wrapped=key == "prefixItems") for own in made.pop(key)]
            made["prefixItems" if key == "prefixItems" else "anyOf"] = parts
    if "items" in made:
        made["items"] = inner(made["items"])
    return made


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    outer = {key: schema[key] for key in ("description", "default") if key in schema}
    return outer | {"anyOf": [schema, _ref("reference")]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"{_HERE}{name}"}


def _models(kind: Any, seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """Return the models inside a type."""
    seen = set() if seen is None else seen
    inside: Iterable[Any] = getattr(kind, "__args__", ()) or getattr(getattr(kind, "__origin__", None), "__args__", ())
    if is_model(kind) and kind not in seen:
        seen.add(kind)
        inside = [field.annotation for field in kind.model_fields.values()]
    elif hasattr(kind, "__metadata__"):
        inside = [typing.get_args(kind)[0]]
    for own in inside:
        _models(own, seen)
    return seen


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return field -> the text under it in the code; `from` for a field with that alias."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__[:-1]):
        if not issubclass(one, BaseModel) or one is BaseModel:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for pair in itertools.pairwise(body):
            match pair:
                case (ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=text))):
                    own = model.model_fields.get(field)
                    found[own.alias if own is not None and own.alias else field] = inspect.cleandoc(str(text))
                case _:
                    pass
    return found
