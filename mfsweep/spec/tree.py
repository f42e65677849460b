"""A spec as YAML has it, before it is checked: a tree of mappings, lists and plain values."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

Tree: TypeAlias = "str | int | float | bool | list[Tree] | dict[str, Tree] | None"


def below(tree: object, step: str | int) -> Any:
    """Return what a tree has at a key or an index, None where it has nothing there."""
    if isinstance(tree, dict):
        return cast("dict[Any, Any]", tree).get(step)
    if isinstance(tree, list | tuple) and isinstance(step, int) and step < len(cast("list[Any]", tree)):
        return cast("list[Any]", tree)[step]
    return None


def has(tree: object, step: str | int) -> bool:
    """Return whether a tree has something at a key or an index."""
    if isinstance(tree, list | tuple):
        return isinstance(step, int) and step < len(cast("list[Any]", tree))
    return isinstance(tree, dict) and step in tree
