"""`axes:` of a spec, and `${axis}`: a grid of values, and a tree filled in with one cell's values.

A block maps an axis to its values: a list, or named bundles (`name: {fields}`). Several blocks are a union of grids.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mfsweep.errors import nearest
from mfsweep.spec.base import LARGEST_SEED

Value = str | int | float | bool | None
"""What an axis takes; of a bundle, its name."""
Block = dict[str, dict[Value, Any]]
"""Axis -> label -> what `${axis}` stands for: the label itself, or a bundle's fields."""

SEEDS = ("seed", "split_seed")
"""Axes that act without being referred to: initialisation and order; partition and prefixes."""

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_DISTRIBUTION = {"low", "high", "log", "step", "distribution"}


def parse(raw: Any) -> list[Block]:
    """Return the blocks of an `axes:` tree.

    Raises:
        PlaceError: a value that is neither a list of plain values nor a mapping of bundles, at its place.
    """
    if not isinstance(raw, list):
        return [_block(raw, ())]
    if not raw:
        raise PlaceError((), raw, "at least one block of axes")
    blocks = [_block(block, (index,)) for index, block in enumerate(raw)]
    _refuse_two_meanings(blocks)
    return blocks


def cells(blocks: list[Block]) -> Iterator[dict[str, Value]]:
    """Yield each combination of labels once, in the order of the spec, block after block."""
    seen = set()
    for block in blocks:
        for labels in itertools.product(*block.values()):
            cell = dict(zip(block, labels, strict=True))
            content = frozenset(cell.items())
            if content not in seen:
                seen.add(content)
                yield cell


def references(tree: Any) -> frozenset[str]:
    """Return the names of the axes to which a tree refers."""
    if isinstance(tree, str):
        return frozenset(match.partition(".")[0].strip() for match in _REFERENCE.findall(tree))
    if isinstance(tree, Mapping):
        return frozenset().union(*(references(item) for item in tree.values()))
    if isinstance(tree, list):
        return frozenset().union(*(references(item) for item in tree))
    return frozenset()


def fill(tree: Any, values: Mapping[str, Any], place: tuple[str | int, ...] = ()) -> Any:
    """Return the tree with every `${axis}` and `${axis.field}` replaced; one standing alone keeps its value's type.

    Raises:
        PlaceError: a reference to an axis or a bundle's field that does not exist.
    """
    if isinstance(tree, str):
        whole = _REFERENCE.fullmatch(tree)
        if whole:
            return _resolve(whole[1], tree, values, place)
        return _REFERENCE.sub(lambda match: str(_resolve(match[1], tree, values, place)), tree)
    if isinstance(tree, Mapping):
        return {key: fill(item, values, (*place, key)) for key, item in tree.items()}
    if isinstance(tree, list):
        return [fill(item, values, (*place, index)) for index, item in enumerate(tree)]
    return tree


class PlaceError(Exception):
    """Something wrong at a place of the tree; `load` turns it into a SpecError with file and line."""

    def __init__(self, place: tuple[str | int, ...], got: Any, expected: str) -> None:
        super().__init__(expected)
        self.place = place
        self.got = got
        self.expected = expected


def _block(raw: Any, place: tuple[str | int, ...]) -> Block:
    if not isinstance(raw, dict):
        raise PlaceError(place, raw, "a mapping from each axis to its values")
    return {axis: _axis(axis, values, (*place, axis)) for axis, values in raw.items()}


def _refuse_two_meanings(blocks: list[Block]) -> None:
    """Refuse a bundle's name that stands for different fields in two blocks: the cells could not be told apart."""
    known: dict[tuple[str, Value], Any] = {}
    for index, block in enumerate(blocks):
        for axis, values in block.items():
            for label, content in values.items():
                if known.setdefault((axis, label), content) != content:
                    raise PlaceError((index, axis, str(label)), content, "what the same name means in an earlier block")


def _axis(axis: Any, raw: Any, place: tuple[str | int, ...]) -> dict[Value, Any]:
    if not isinstance(axis, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", axis):
        raise PlaceError(place, axis, "an axis name of letters, digits, _ and -")
    if isinstance(raw, dict) and raw.keys() & _DISTRIBUTION and not any(isinstance(v, dict) for v in raw.values()):
        raise PlaceError(place, raw, "a list of values: a distribution to search comes with a later version")
    if isinstance(raw, dict) and axis in SEEDS:
        raise PlaceError(place, raw, "a list of whole numbers")
    if isinstance(raw, dict) and raw and all(isinstance(fields, dict) for fields in raw.values()):
        return dict(raw)
    if not isinstance(raw, list) or not raw:
        raise PlaceError(place, raw, "a list of values, or named bundles of the form name: {field: value}")
    for index, value in enumerate(raw):
        if not isinstance(value, Value):
            raise PlaceError((*place, index), value, "a plain value; write a bundle as name: {field: value}")
        if axis in SEEDS and (type(value) is not int or not 0 <= value <= LARGEST_SEED):
            raise PlaceError((*place, index), value, "a whole number from 0 to 2^63 - 1")
        if value in raw[:index]:
            raise PlaceError((*place, index), value, "a value that the axis does not have already")
    return {value: value for value in raw}


def _resolve(reference: str, text: str, values: Mapping[str, Any], place: tuple[str | int, ...]) -> Any:
    axis, _, field = (part.strip() for part in reference.partition("."))
    if axis not in values:
        known = ", ".join(values) or "none"
        raise PlaceError(place, text, f"a reference to an axis of this block (it has {known}).{nearest(axis, values)}")
    value = values[axis]
    if not field:
        return value
    if not isinstance(value, dict):
        raise PlaceError(place, text, f"${{{axis}}} alone: the axis holds plain values, not bundles with fields")
    if field not in value:
        raise PlaceError(place, text, f"a field that the bundle has ({', '.join(value)}).{nearest(field, value)}")
    return value[field]
