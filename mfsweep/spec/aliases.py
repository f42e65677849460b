"""YAML files that are small and come to much: an alias costs a few bytes, and stands for all that its anchor holds."""

from __future__ import annotations

import yaml

LARGEST = 1_000_000
"""Values that a file may come to, all aliases written out."""


class AliasError(Exception):
    """A file whose aliases come to too much; the text says at which line, and begins in lower case."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def require_bounded(root: yaml.Node | None) -> None:
    """Refuse a file whose values, aliases written out, are more than LARGEST, or hold themselves.

    Args:
        root: what `yaml.compose` made of it; None of an empty file.

    Raises:
        AliasError: it is so large.
    """
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    # With a stack of its own: what is nested deep is no reason for a traceback.
    stack = [root] if root is not None else []
    while stack:
        node = stack[-1]
        children = _children(node)
        waiting = [child for child in children if id(child) not in sizes]
        if waiting and id(node) in begun and any(id(child) in begun for child in waiting):
            raise AliasError(node.start_mark.line + 1, "an alias stands within its own anchor, so that it has no end")
        if waiting:
            begun.add(id(node))
            stack.append(waiting[0])
            continue
        stack.pop()
        begun.discard(id(node))
        sizes[id(node)] = size = 1 + sum(sizes[id(child)] for child in children)
        if size > LARGEST:
            line = node.start_mark.line + 1
            raise AliasError(line, f"its aliases come to more than {LARGEST:,} values: write what is meant in full")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
