"""What Pydantic finds wrong with a tree, in the words of the spec language: where, what was got, what is expected."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeGuard, cast

from pydantic import BaseModel

from mfsweep.errors import nearest, nearest_of
from mfsweep.spec.base import MisplacedError
from mfsweep.spec.tree import Tree, below, has

FieldPath = tuple[str | int, ...]


_TELLING = ("kind", "architecture")
"""Fields that tell which of several models a mapping is."""


class Problem(NamedTuple):
    """One thing that is wrong with a tree."""

    place: FieldPath
    got: Any
    expected: str
    kind: Literal["misspelt", "missing", "value"] = "value"
    """A field that does not exist, one that is not there (of the mapping at `place`), or what stands at `place`."""
    instead: str | None = None
    """For a misspelt field, the one that was meant."""


def problems(errors: Sequence[Any], kind: Any, tree: Any, also: Sequence[str] = ()) -> list[Problem]:
    """Return all that is wrong with a tree, each once.

    Args:
        errors: of Pydantic, as `ValidationError.errors()` gives them.
        kind: the type that the tree was to be.
        tree: mappings, lists and plain values.
        also: fields of the tree itself that its type does not have.
    """
    errors = _likeliest(tree, errors)
    found: dict[tuple[FieldPath, str], list[Problem]] = {}
    for item in errors:
        one = _problem(item, kind, tree, also)
        own = str(item["loc"][-1]) if item["type"] == "missing" else ""
        found.setdefault((one.place, own), []).append(one)
    misspelt = {(_walk(tree, item["loc"])[:-1], str(item["loc"][-1])) for item in errors if _is_extra(item)}
    left: list[Problem] = []
    for (place, missing), several in found.items():
        # A misspelt field is also a missing one, and a list with a wrong item a list too short: the inmost says most.
        if missing and any(at == place and nearest(name, [missing]) for at, name in misspelt):
            continue
        if not missing and any(other[: len(place)] == place != other for other, _ in found):
            continue
        expected = " or ".join(dict.fromkeys(one.expected for one in several))
        left.append(several[0]._replace(expected=expected))
    return left


def _is_extra(item: Any) -> bool:
    return item["type"] == "extra_forbidden"


def _problem(item: Any, kind: Any, tree: Any, also: Sequence[str]) -> Problem:
    where = _walk(tree, item["loc"])
    match item["type"]:
        case "extra_forbidden":
            known = [*_fields(kind, tree, where[:-1]), *(also if len(where) == 1 else ())]
            name = str(where[-1])
            expected = f"one of {', '.join(known)}.{nearest(name, known)}"
            found = Problem(where, name, expected, "misspelt", nearest_of(name, known))
        case "missing":
            found = Problem(where, None, _absent(item["loc"][-1]), "missing")
        case "value_error":
            error = item["ctx"]["error"]
            found = Problem(where, item["input"], str(error))
            if isinstance(error, MisplacedError):
                found = Problem((*where, *error.place), error.got, error.expected)
        case "union_tag_invalid" | "union_tag_not_found":
            found = _of_tag(item, where)
        case "model_type" | "model_attributes_type" | "dataclass_type":
            known = _fields(kind, tree, where)
            found = Problem(where, item["input"], f"a mapping with {', '.join(known)}" if known else "a mapping")
        case _:
            found = Problem(where, item["input"], sentence(item))
    return found


def _of_tag(item: Any, where: FieldPath) -> Problem:
    """Return what is wrong with the field that tells which of several models is meant (`kind`, `architecture`)."""
    context, got = item["ctx"], item["input"]
    field = context["discriminator"].strip("'")
    if item["type"] == "union_tag_invalid":
        # Where a function reads the tag (batch), its field is the one that has this value.
        written: dict[str, Any] = got
        field = next(key for key, value in written.items() if key == field or value == context["tag"])
        tags = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        return Problem((*where, field), got[field], f"one of {', '.join(tags)}.{nearest(str(got[field]), tags)}")
    near = nearest_of(field, cast("dict[str, Any]", got)) if isinstance(got, dict) else None
    if near is None:
        return Problem(where, got, f"the field {field!r}")
    return Problem((*where, near), near, f"the field {field!r}.{nearest(near, [field])}", "misspelt", field)


def sentence(item: Any) -> str:
    """Return what is expected in place of a value, by the kind of Pydantic's error and its numbers."""
    if item["type"] in ("number_type", "number_parsing"):
        return item["msg"]
    if item["type"] == "literal_error":
        options = item["ctx"]["expected"].replace("True", "true")
        known = [word.strip("' ") for word in options.replace(" or ", ", ").split(",")]
        hint = nearest(item["input"], known) if isinstance(item["input"], str) else ""
        return f"{options}.{hint}" if hint else options
    words = _WORDS.get(item["type"])
    return words.format(**item.get("ctx", {})) if words else "a value of another kind"


_WORDS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "string_too_long": "a name of at most {max_length} letters",
    "string_pattern_mismatch": "a name of letters, digits, _ and - that begins with a letter",
    "dict_type": "a mapping (name: value)",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} at most",
    "none_required": "nothing",
    "recursion_loop": "a value that does not hold itself",
}
"""Kind of Pydantic's error -> what is expected."""


def _absent(step: str | int) -> str:
    return f"the field {step!r}" if isinstance(step, str) else f"a list of {step + 1} or more"


def _walk(tree: Tree | tuple[Tree, ...], location: tuple[str | int, ...]) -> FieldPath:
    """Return the part of a Pydantic location that is in the tree; the tags of unions in between name no place of it."""
    place: list[str | int] = []
    entered = True
    for step in location:
        # `bars` is a tag, and a field of what it tags: the tag comes first.
        if entered and isinstance(tree, dict) and step in [below(tree, field) for field in _TELLING]:
            entered = False
            continue
        if has(tree, step):
            tree = below(tree, step)
            place.append(step)
            entered = True
    return tuple(place)


def _likeliest(tree: Any, errors: Sequence[Any]) -> list[Any]:
    """Return the errors without those of a union's options that fit worse than another: they were not meant.

    An option of another kind (a number where a mapping stands) fits worst, then the one with the most errors.
    """
    badness: dict[FieldPath, dict[Any, int]] = {}
    for item in errors:
        if union := _union(tree, item):
            options = badness.setdefault(union[0], {})
            options[union[1]] = options.get(union[1], 0) + (100 if _is_of_another_kind(item) else 1)

    def is_likely(item: Any) -> bool:
        union = _union(tree, item)
        return union is None or badness[union[0]][union[1]] == min(badness[union[0]].values())

    return [item for item in errors if is_likely(item)]


def _is_of_another_kind(item: Any) -> bool:
    is_container = isinstance(item["input"], dict | list | tuple)
    return item["type"].endswith("_type") or (item["type"] == "literal_error" and is_container)


def _union(tree: Any, item: Any) -> tuple[FieldPath, str | int] | None:
    """Return where a union stands on the way to an error, and which of its options the error is of."""
    steps = item["loc"][:-1] if item["type"] == "missing" else item["loc"]
    for depth, step in enumerate(steps):
        place = _walk(tree, steps[: depth + 1])
        if len(place) == depth:
            return place, step
    return None


def _fields(kind: Any, tree: Any, place: FieldPath) -> list[str]:
    """Return the fields of the model that stands at a place inside `kind`, of several the one that fits the tree."""
    models = _options(kind)
    for step in place:
        models = [inner for model in models for inner in _inside(model, step)]
        tree = tree[step]
    models = [model for model in map(_plain, models) if is_model(model)]
    meant = [model for model in models if _is_of_kind(model, tree)] or models
    fields = [
        (name, field)
        for model in meant
        for name, field in model.model_fields.items()
        if name not in getattr(model, "PLANNED", ())
    ]
    return list(dict.fromkeys(field.alias or name for name, field in fields))


def is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    """Return whether a type is a model of Pydantic."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_of_kind(model: Any, tree: Tree) -> bool:
    """Return whether a tree says with its discriminator (`architecture`, `kind`) that it is this model."""
    fixed = {
        name: (typing.get_args(field.annotation)[0], field.default)
        for name, field in model.model_fields.items()
        if typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1
    }
    return isinstance(tree, dict) and all(tree.get(name, default) == value for name, (value, default) in fixed.items())


def _plain(annotation: Any) -> Any:
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _options(annotation: Any) -> list[Any]:
    annotation = _plain(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for inner in typing.get_args(annotation) for option in _options(inner)]
    return [annotation]


def _inside(annotation: Any, step: str | int) -> list[Any]:
    found: list[Any] = []
    for option in _options(annotation):
        if is_model(option):
            found += [
                inner
                for name, field in option.model_fields.items()
                if step == (field.alias or name)
                for inner in _options(field.annotation)
            ]
        elif typing.get_origin(option) is dict:
            found += _options(typing.get_args(option)[1])
        elif typing.get_origin(option) in (tuple, list):
            found += _options(typing.get_args(option)[0])
    return found
