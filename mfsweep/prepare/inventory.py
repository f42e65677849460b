"""What a store has of a graph's stages: which are done, whose weights are needed, and what is damaged.

A stage is done when its record and its evaluations can be read. Its weights are looked at where a stage that is not
done starts from them: checkpoints may be removed from a store that is finished.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mfsweep.plan.graph import Node, StageGraph
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.store.damage import Damage


class Inventory(NamedTuple):
    """What there is, at one moment."""

    done: frozenset[str] = frozenset()
    """Keys of the stages that are trained and evaluated."""
    needed: frozenset[str] = frozenset()
    """Keys of those whose weights a stage that is not done starts from."""
    damaged: tuple[Damage, ...] = ()
    """What cannot be read: what it stands for counts as not there."""


def take(store: StoreFolder, graph: StageGraph) -> Inventory:
    """Return what a store has of a graph's stages."""
    begun = store.keys() & graph.nodes.keys()
    done, needed = set[str](), set[str]()
    damaged: list[Damage] = []
    for key, node in reversed(graph.nodes.items()):  # children first: one whose weights are lost needs its parent's
        if key in begun:
            folder = store.stage(key)
            found = _damaged(folder, node, with_weights=key in needed)
            damaged += found
            if not found and folder.has_files(identities(node)):  # each was read just now
                done.add(key)
                continue
        if node.parent is not None:
            needed.add(node.parent)
    return Inventory(frozenset(done), frozenset(needed), tuple(reversed(damaged)))


def is_done(store: StoreFolder, node: Node, *, with_weights: bool) -> bool:
    """Return whether a store has a stage.

    Args:
        store: where it would lie.
        node: the stage, with its evaluations.
        with_weights: whether its weights have to be there too.
    """
    folder = store.stage(node.key)
    return folder.is_done(identities(node)) and not (with_weights and _lost(folder))


def identities(node: Node) -> list[dict[str, Any]]:
    """Return the identities of a stage's evaluations."""
    return [evaluation.identity() for evaluation in node.evaluations]


def _damaged(folder: StageFolder, node: Node, *, with_weights: bool) -> list[Damage]:
    return folder.damaged(identities(node)) or (_lost(folder) if with_weights else [])


def _lost(folder: StageFolder) -> list[Damage]:
    """Return what is wrong with the weights of a trained stage, as far as it is seen without reading them."""
    record = folder.record()
    found = None if record is None else folder.damaged_weights(record.selected, whole=False)
    return [found] if found else []
