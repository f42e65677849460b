"""Specs with one mistake each, made of a ready one: misspelt keys, wrong types, fields that are gone, wrong references."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from mfsweep.spec.yaml12 import parse


class Mutation(NamedTuple):
    """A text with one mistake."""

    text: str
    line: int
    """Of the mistake, from 1."""
    place: tuple[str | int, ...]
    was: str
    now: str
    """What stood there, and what stands there now; empty: it is gone."""
    start: int
    """Of what stands there now, in characters."""

    def corrected(self, hint: str, wrong: str | None) -> str:
        """Return the text with a hint in place of what is wrong, or of a piece of it."""
        value = self.now.replace(wrong, hint) if wrong else hint
        return self.text[: self.start] + value + self.text[self.start + len(self.now) :]


class _Spot(NamedTuple):
    place: tuple[str | int, ...]
    key: yaml.Node | None
    node: yaml.Node


@functools.cache
def spots(text: str) -> list[_Spot]:
    """Return every value of a text with its place, its key and its node; merged and repeated ones once."""
    seen: set[int] = set()

    def below(place: tuple[str | int, ...], node: yaml.Node) -> Iterator[_Spot]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        for key, value in [*pairs, *((None, value) for value in items)]:
            if id(value) in seen:
                continue
            seen.add(id(value))
            merged = key is not None and key.value == "<<"
            own = place if merged else (*place, key.value if key is not None else items.index(value))
            if not merged:
                yield _Spot(own, key, value)
            yield from below(own, value)

    root = parse(text).root
    assert root is not None
    return list(below((), root))


def _replaced(text: str, node: yaml.Node, by: str) -> str:
    return text[: node.start_mark.index] + by + text[node.end_mark.index :]


def misspelt(text: str, spot: _Spot) -> Mutation | None:
    """Return the text with a key that has one letter twice."""
    if spot.key is None or len(spot.key.value) < 3:
        return None
    name = spot.key.value
    wrong = f"{name[:2]}{name[1]}{name[2:]}"
    return Mutation(
        _replaced(text, spot.key, wrong),
        spot.key.start_mark.line + 1,
        spot.place,
        name,
        wrong,
        spot.key.start_mark.index,
    )


def wrong_type(text: str, spot: _Spot, by: str = "{wrong: 1}") -> Mutation | None:
    """Return the text with something else in place of a plain value."""
    if not isinstance(spot.node, yaml.ScalarNode):
        return None
    mark = spot.node.start_mark
    return Mutation(_replaced(text, spot.node, by), mark.line + 1, spot.place, str(spot.node.value), by, mark.index)


def gone(text: str, spot: _Spot) -> Mutation | None:
    """Return the text without a field of a mapping in braces."""
    if spot.key is None:
        return None
    begin, end = spot.key.start_mark.index, spot.node.end_mark.index
    before, after = text[:begin].rstrip(" "), text[end:].lstrip(" ")
    if after[:1] == ",":
        after = after[1:].lstrip(" ")
    elif before[-1:] == ",":
        before = before[:-1]
    elif not (before[-1:] == "{" and after[:1] == "}"):
        return None
    return Mutation(before + after, spot.key.start_mark.line + 1, spot.place, str(spot.key.value), "", begin)


def wrong_reference(text: str, spot: _Spot) -> Mutation | None:
    """Return the text with a reference of which one letter stands twice."""
    if not isinstance(spot.node, yaml.ScalarNode) or "${" not in spot.node.value:
        return None
    value = spot.node.value
    at = value.index("${") + 3
    wrong = f"{value[:at]}{value[at - 1]}{value[at:]}"
    mark = spot.node.start_mark
    return Mutation(_replaced(text, spot.node, f'"{wrong}"'), mark.line + 1, spot.place, value, wrong, mark.index)
