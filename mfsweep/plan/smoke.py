"""A plan tried out: one chain of each kind of stage, for a few steps."""

from __future__ import annotations

from dataclasses import replace

from mfsweep.plan.graph import Node, StageGraph


def smoke_graph(graph: StageGraph, steps: int = 20) -> StageGraph:
    """Return one chain of each kind of stage with a few steps: what a spec would train, tried out.

    A kind is a stage name with or without a parent, on its label methods and subsets, of one model, with what of it is
    trained and where its heads come from.
    """
    kinds: dict[tuple[object, ...], Node] = {}
    for node in graph.nodes.values():
        sets = tuple((labelled.labels, labelled.subset) for labelled in node.training.sets)
        heads = tuple((name, head.key) for name, head in (node.training.heads or {}).items())
        kind = (node.name, node.parent is None, sets, node.training.model.key, node.training.recipe.trainable, heads)
        if kind not in kinds or len(node.evaluations) > len(kinds[kind].evaluations):
            kinds[kind] = node
    needed = {above.key for node in kinds.values() for above in graph.lineage(node.key)}
    renamed: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for key, node in graph.nodes.items():
        if key in needed:
            recipe = node.training.recipe.but(max_steps=steps, validate_every=steps)
            parent = renamed[node.parent] if node.parent else None
            training = node.training.but(recipe=recipe, parent=parent)
            renamed[key] = training.key
            nodes[training.key] = replace(node, key=training.key, training=training, parent=parent, cells=1)
    return StageGraph(nodes, [])
