"""What the stages of a graph are given, each kind of them by a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mfsweep.plan.graph import Node
from mfsweep.spec.resources import Resources


def kinds(nodes: Iterable[Node]) -> dict[str, Resources]:
    """Return what stages are given, by what those are called: their name, with axes where one name is given several."""
    first: dict[Resources, Node] = {}
    for node in nodes:
        first.setdefault(node.resources, node)
    names = Counter(node.name for node in first.values())
    return {_called(node) if names[node.name] > 1 else node.name: own for own, node in first.items()}


def _called(node: Node) -> str:
    return " ".join((node.name, *(f"{axis}={value}" for axis, value in node.values.items())))
