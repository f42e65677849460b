"""YAML -> Experiment, and the wording of everything that can be wrong with it.

An error names the file, the line, the path in the YAML, what was got, what was expected and the nearest right name.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from mfsweep.errors import SpecError, nearest
from mfsweep.masking import masked
from mfsweep.spec import axes
from mfsweep.spec.aliases import AliasError, require_bounded
from mfsweep.spec.axes import SEEDS, Block, Distribution, PlaceError, Value
from mfsweep.spec.experiment import Experiment

Place = tuple[str | int, ...]
_T = TypeVar("_T")


class Document:
    """One spec file as it was read: the tree, and where in the file each part of it stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = _read(path)
        try:
            self._nodes = yaml.compose(self.text, _Loader)
            require_bounded(self._nodes)
            self.tree: Any = yaml.load(self.text, _Loader)  # noqa: S506 (a SafeLoader)
        except (_BadKeyError, AliasError) as problem:
            raise SpecError(f"{path}:{problem.line}: {problem}") from None
        except RecursionError:
            raise SpecError(f"{path}: not a spec: it is nested too deep to be read") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise SpecError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
        if not isinstance(self.tree, dict):
            raise self.error((), self.tree, "a mapping with name, data, model, stages and result")

    def error(self, place: Place, got: Any, expected: str) -> SpecError:
        """Return the error for something wrong at a place."""
        path = _cut(dotted(place) or "the top level", 160)
        shown = "nothing" if got is None else _cut(masked(repr(got)), 80)
        return SpecError(f"{self.path}:{self.line(place)}: {path}: got {shown}, expected {expected}")

    def line(self, place: Place) -> int:
        """Return the line, from 1, on which a place (or the nearest thing around it that is written) stands."""
        node, line = self._nodes, 1
        for step in place:
            child = None
            if isinstance(node, yaml.MappingNode):
                child = next((pair for pair in node.value if pair[0].value == str(step)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                child = (node.value[step], node.value[step])
            if child is None:
                break
            line, node = child[0].start_mark.line + 1, child[1]
        return line

    def build(self, kind: type[_T] | Any, tree: Any, place: Place) -> _T:
        """Return the tree as a validated model.

        Raises:
            SpecError: the first thing wrong, in the order of the file.
        """
        try:
            return _adapter(kind).validate_python(tree)
        except ValidationError as error:
            raise self._explain(error, kind, tree, place) from None

    def _explain(self, error: ValidationError, kind: Any, tree: Any, place: Place) -> SpecError:
        found: dict[Place, list[tuple[Any, str]]] = {}
        errors = _likeliest(tree, error.errors())
        for item in errors:
            where = _walk(tree, item["loc"])
            if item["type"] == "extra_forbidden":
                known = _fields(kind, tree, where[:-1])
                got, wanted = where[-1], f"one of {', '.join(known)}.{nearest(str(where[-1]), known)}"
            elif item["type"] == "union_tag_invalid":
                got, wanted = item["ctx"]["tag"], f"one of {item['ctx']['expected_tags']}"
            elif item["type"] == "union_tag_not_found":
                got, wanted = item["input"], f"the field {item['ctx']['discriminator']}"
            elif item["type"] == "string_too_long":
                got, wanted = item["input"], f"a name of at most {item['ctx']['max_length']} letters"
            elif item["type"] == "missing":
                got, wanted = None, f"the field {item['loc'][-1]!r}"
            else:
                got = item["input"]
                wanted = re.sub(r"^(Input should be|Value error,) ?", "", item["msg"])
                wanted = "a name of letters, digits, _ and -" if item["type"] == "string_pattern_mismatch" else wanted
            found.setdefault(where, []).append((got, wanted))
        # A misspelt field is also a missing one, and a list with a wrong item a list too short: the inmost says most.
        misspelt = {_walk(tree, item["loc"]) for item in errors if item["type"] == "extra_forbidden"}
        inner = [where for where in found if not any(other[: len(where)] == where != other for other in found)]
        first = min(misspelt or inner, key=lambda where: (self.line((*place, *where)), len(where)))
        got, _ = found[first][0]
        return self.error((*place, *first), got, " or ".join(dict.fromkeys(wanted for _, wanted in found[first])))


class Spec(typing.NamedTuple):
    """A spec that was read: what it says, and the file that says it."""

    experiment: Experiment
    blocks: list[Block]
    """The axes but the searched ones; of a search, after `at`, with the values that were asked for."""
    document: Document
    searched: dict[str, Distribution] = {}
    """The axes that are distributions."""

    def studies(self) -> list[dict[str, Value]]:
        """Return what a search is made for, one study each: the combinations of the other axes but the seeds."""
        plain = [{axis: labels for axis, labels in block.items() if axis not in SEEDS} for block in self.blocks]
        return list(axes.cells(plain))

    def at(self, points: Sequence[Mapping[str, Value]]) -> Spec:
        """Return this search as a plain grid at some points.

        Args:
            points: values of all axes, searched ones too, but the seeds, which are gridded as they are written.
        """
        (block,) = self.blocks
        seeds = {axis: labels for axis, labels in block.items() if axis in SEEDS}
        blocks: list[Block] = [
            {axis: {label: block[axis][label] if axis in block else label} for axis, label in point.items()} | seeds
            for point in points
        ]
        return self._replace(blocks=blocks)


def load(path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Spec:
    """Read a spec.

    Args:
        path: the file.
        overrides: top-level field -> entries that replace the file's, from the command line.

    Raises:
        SpecError: the file cannot be read, is not YAML, or does not say what a spec says.
    """
    document = Document(path)
    tree = dict(document.tree)
    for name, entries in (overrides or {}).items():
        tree[name] = {**(tree.get(name) or {}), **entries}
    experiment: Experiment = document.build(Experiment, tree, ())
    try:
        blocks, searched = axes.parse(experiment.axes)
    except PlaceError as error:
        raise document.error(("axes", *error.place), error.got, error.expected) from None
    if bool(searched) != bool(experiment.search):
        place, got = (("axes", next(iter(searched))), "a distribution") if searched else (("search",), "a search")
        other = "a `search:` block beside it (objective, trials)" if searched else "an axis that is a distribution"
        raise document.error(place, got, other)
    return Spec(experiment, blocks, document, searched)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def dotted(place: Place) -> str:
    """Return a place as people write it: `stages.pretrain.train[0].size`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [str(other) for other in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
        raise SpecError(f"{path}: no such file.{nearest(str(path), siblings)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as text: {error}") from error


class _BadKeyError(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses repeated keys (YAML would keep the last) and reads 1e-4 as a number (YAML 1.2)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise _BadKeyError(line, f"the key {key.value!r} is not text for YAML: write it in quotes")
            if key.value in lines:
                raise _BadKeyError(line, f"the key {key.value!r} stands here again, after line {lines[key.value]}")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _walk(tree: Any, location: tuple[str | int, ...]) -> Place:
    """Return the part of a Pydantic location that is in the tree; the tags of unions in between name no place of it."""
    place: list[str | int] = []
    for step in location:
        inside = isinstance(tree, dict) and step in tree
        inside |= isinstance(tree, list | tuple) and isinstance(step, int) and step < len(tree)
        if inside:
            tree = tree[step]  # pyright: ignore[reportCallIssue, reportArgumentType] (`inside` says it can)
            place.append(step)
    return tuple(place)


def _likeliest(tree: Any, errors: Sequence[Any]) -> list[Any]:
    """Return the errors without those of a union's options that fit worse than another: they were not meant.

    An option of another kind (a number where a mapping stands) fits worst, then the one with the most errors.
    """
    badness: dict[Place, dict[Any, int]] = {}
    for item in errors:
        if union := _union(tree, item):
            options = badness.setdefault(union[0], {})
            options[union[1]] = options.get(union[1], 0) + (100 if item["type"].endswith("_type") else 1)

    def is_likely(item: Any) -> bool:
        union = _union(tree, item)
        return union is None or badness[union[0]][union[1]] == min(badness[union[0]].values())

    return [item for item in errors if is_likely(item)]


def _union(tree: Any, item: Any) -> tuple[Place, str | int] | None:
    """Return where a union stands on the way to an error, and which of its options the error is of."""
    steps = item["loc"][:-1] if item["type"] == "missing" else item["loc"]
    for depth, step in enumerate(steps):
        place = _walk(tree, steps[: depth + 1])
        if len(place) == depth:
            return place, step
    return None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(kind: Any, tree: Any, place: Place) -> list[str]:
    """Return the fields of the model that stands at a place inside `kind`, of several the one that fits the tree."""
    models = _options(kind)
    for step in place:
        models = [inner for model in models for inner in _inside(model, step)]
        tree = tree[step]
    models = [model for model in map(_plain, models) if _is_model(model)]
    meant = [model for model in models if _is_of_kind(model, tree)] or models
    fields = [item for model in meant for item in model.model_fields.items()]
    return list(dict.fromkeys(field.alias or name for name, field in fields))


def _is_of_kind(model: Any, tree: Any) -> bool:
    """Return whether a tree says with its discriminator (`architecture`, `kind`) that it is this model."""
    fixed = {
        name: (typing.get_args(field.annotation)[0], field.default)
        for name, field in model.model_fields.items()
        if typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1
    }
    return all(tree.get(name, default) == value for name, (value, default) in fixed.items())


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
        if _is_model(option):
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
