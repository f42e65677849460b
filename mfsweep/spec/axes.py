"""`axes:` of a spec, and `${axis}`: a grid of values, and a tree filled in with one cell's values.

A block maps an axis to its values: a list, or named bundles (`name: {fields}`). Several blocks are a union of grids.
An axis may be a distribution instead, whose values a search asks for (experiment.py, `search`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from pydantic import ValidationError, model_validator

from mfsweep.errors import nearest
from mfsweep.spec.base import LARGEST_SEED, LONGEST_NAME, Bool, Frozen, Number
from mfsweep.spec.tree import Tree
from mfsweep.spec.wording import problems

Value = str | int | float | bool | None
"""What an axis takes; of a bundle, its name."""
AxisLabels = dict[str, dict[Value, Tree]]
"""Axis -> label -> what `${axis}` stands for: the label itself, or a bundle's fields."""

SEEDS = ("seed", "split_seed", "fold")
"""Axes that act without being referred to: initialisation and order; partition and prefixes."""

AXIS_NAME = f"an axis name of letters, digits, _ and -, at most {LONGEST_NAME} of them"
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_ROUNDING = 1e-6
"""Rounding that a number of steps may be off by: 0.3 is three steps of 0.1, though not for the machine."""


class Distribution(Frozen):
    """Where the values of a searched axis come from; whole numbers where `low`, `high` and `step` are."""

    low: Number
    """The lowest value."""
    high: Number
    """The highest value."""
    log: Bool = False
    """Equal chances on a logarithmic scale."""
    step: Number | None = None
    """Distance of the values, from `low` on."""

    @model_validator(mode="after")
    def _refuse_bad_bounds(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low below high, got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a low above 0 and no step, on a logarithmic scale")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"a step above 0, got {self.step}")
        return self

    @property
    def is_whole(self) -> bool:
        """Return whether the values are whole numbers."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step if self.step is not None else 1))

    @property
    def middle(self) -> int | float:
        """Return a value in the middle."""
        if self.step is not None:
            return self.low + self.step * (self._steps // 2)
        middle = (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2
        return round(middle) if self.is_whole else middle

    @property
    def tried(self) -> tuple[int | float, int | float, int | float]:
        """Return the lowest value, one in the middle and the highest, for trying a spec out."""
        highest = self.high if self.step is None else min(self.low + self.step * self._steps, self.high)
        return self.low, self.middle, highest

    def has(self, value: Value) -> bool:
        """Return whether a value is one of the distribution's."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < _ROUNDING

    @property
    def _steps(self) -> int:
        """How many steps fit between the bounds."""
        assert self.step is not None
        return int((self.high - self.low) / self.step + _ROUNDING)


class Axes(NamedTuple):
    """What `axes:` says."""

    blocks: list[AxisLabels]
    """Grids whose union is meant, without the searched axes."""
    searched: dict[str, Distribution]


def parse(raw: Tree) -> Axes:
    """Return the blocks of an `axes:` tree, and its distributions.

    Raises:
        AxesError: values that are no list of plain values, mapping of bundles or distribution, at their places.
    """
    found: list[PlaceError] = []
    if not isinstance(raw, list):
        plain, searched = _apart(raw, found)
        blocks = [_block(plain, (), found)]
    else:
        searched = {}
        if not raw:
            found.append(PlaceError((), raw, "at least one block of axes"))
        for index, block in enumerate(raw):
            for axis, values in block.items() if isinstance(block, dict) else ():
                if _is_distribution(values):
                    expected = "values: a search takes one block of axes, not a list of them"
                    found.append(PlaceError((index, axis), values, expected))
        blocks = [_block(block, (index,), found) for index, block in enumerate(raw)] if not found else []
        _refuse_two_meanings(blocks, found)
    if found:
        raise AxesError(found)
    return Axes(blocks, searched)


def cells(blocks: list[AxisLabels]) -> Iterator[dict[str, Value]]:
    """Yield each combination of labels once, in the order of the spec, block after block."""
    seen: set[frozenset[tuple[str, Value]]] = set()
    for block in blocks:
        for labels in itertools.product(*block.values()):
            cell = dict(zip(block, labels, strict=True))
            content = frozenset(cell.items())
            if content not in seen:
                seen.add(content)
                yield cell


def references(tree: Tree) -> frozenset[str]:
    """Return the names of the axes to which a tree refers."""
    if isinstance(tree, str):
        return frozenset(match.partition(".")[0].strip() for match in _REFERENCE.findall(tree))
    if isinstance(tree, Mapping):
        return frozenset[str]().union(*(references(item) for item in tree.values()))
    if isinstance(tree, list):
        return frozenset[str]().union(*(references(item) for item in tree))
    return frozenset()


def fill(tree: Tree, values: Mapping[str, Any], place: tuple[str | int, ...] = ()) -> Any:
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


class AxesError(PlaceError):
    """All that is wrong with the axes: itself the first of it."""

    def __init__(self, found: list[PlaceError]) -> None:
        super().__init__(found[0].place, found[0].got, found[0].expected)
        self.found = found


def _is_distribution(raw: Tree) -> bool:
    # Bundles are mappings of mappings: what has one of these names for a plain value is none.
    known = Distribution.model_fields.keys()
    return isinstance(raw, dict) and bool(raw.keys() & known) and not any(isinstance(v, dict) for v in raw.values())


def _apart(raw: Tree, found: list[PlaceError]) -> tuple[Tree, dict[str, Distribution]]:
    """Return a block without its distributions, and these."""
    if not isinstance(raw, dict):
        return raw, {}
    searched: dict[str, Distribution] = {}
    for axis, values in raw.items():
        if not _is_distribution(values):
            continue
        if axis in SEEDS:
            found.append(PlaceError((axis,), values, "a list of whole numbers"))
            continue
        if not _is_axis_name(axis):
            found.append(PlaceError((axis,), axis, AXIS_NAME))
            continue
        try:
            searched[axis] = Distribution.model_validate(values)
        except ValidationError as error:
            of_values = problems(error.errors(), Distribution, values)
            found += [PlaceError((axis, *one.place), one.got, one.expected) for one in of_values]
    return {axis: values for axis, values in raw.items() if not _is_distribution(values)}, searched


def _is_axis_name(axis: object) -> bool:
    if not isinstance(axis, str) or len(axis) > LONGEST_NAME:
        return False
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", axis) is not None


def _block(raw: Tree, place: tuple[str | int, ...], found: list[PlaceError]) -> AxisLabels:
    if not isinstance(raw, dict):
        found.append(PlaceError(place, raw, "a mapping from each axis to its values"))
        return {}
    return {axis: _axis(axis, values, (*place, axis), found) for axis, values in raw.items()}


def _refuse_two_meanings(blocks: list[AxisLabels], found: list[PlaceError]) -> None:
    """Refuse a bundle's name that stands for different fields in two blocks: the cells could not be told apart."""
    known: dict[tuple[str, Value], Any] = {}
    for index, block in enumerate(blocks):
        for axis, values in block.items():
            for label, content in values.items():
                if known.setdefault((axis, label), content) != content:
                    expected = "what the same name means in an earlier block"
                    found.append(PlaceError((index, axis, str(label)), content, expected))


def _axis(axis: str, raw: Tree, place: tuple[str | int, ...], found: list[PlaceError]) -> dict[Value, Tree]:
    if not _is_axis_name(axis):
        found.append(PlaceError(place, axis, AXIS_NAME))
        return {}
    if isinstance(raw, dict) and axis in SEEDS:
        found.append(PlaceError(place, raw, "a list of whole numbers"))
        return {}
    if isinstance(raw, dict) and raw and all(isinstance(fields, dict) for fields in raw.values()):
        return {**raw}
    if not isinstance(raw, list) or not raw:
        expected = "a list of values, named bundles (name: {field: value}), or a distribution (low, high)"
        found.append(PlaceError(place, raw, expected))
        return {}
    wrong = [
        PlaceError((*place, index), value, expected)
        for index, value in enumerate(raw)
        if (expected := _instead(axis, value, raw[:index]))
    ]
    found += wrong
    return {} if wrong else {value: value for value in raw if isinstance(value, Value)}


def _instead(axis: str, value: Tree, before: list[Tree]) -> str | None:
    """Return what is expected in place of an axis's value, or None where it may stand."""
    if not isinstance(value, Value):
        return "a plain value; write a bundle as name: {field: value}"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if axis in SEEDS and (type(value) is not int or not 0 <= value <= LARGEST_SEED):
        return "a whole number from 0 to 2^63 - 1"
    return "a value that the axis does not have already" if value in before else None


def referred(text: object) -> tuple[str, str] | None:
    """Return axis and field (empty: none) of a text that is one reference and nothing else; None of any other."""
    whole = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if whole is None:
        return None
    axis, _, field = (part.strip() for part in whole[1].partition("."))
    return axis, field


def _resolve(reference: str, text: str, values: Mapping[str, Tree], place: tuple[str | int, ...]) -> Tree:
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
