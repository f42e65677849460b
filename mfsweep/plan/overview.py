"""Several plans in one store: what each asks for, what they share, what is left to do. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from mfsweep.plan.cost import Estimator, StageCost, Total, total
from mfsweep.plan.graph import StageGraph


class SpecShare(NamedTuple):
    """One spec among others."""

    cells: int
    stages: int
    stages_without_sharing: int
    """If each cell trained its own."""
    new: int
    """Stages that no spec before it asks for."""
    done: int


class Overview(NamedTuple):
    """All specs together. The totals count each stage once a cell, once a spec, once in all, and if it is to do."""

    shares: tuple[SpecShare, ...]
    done: int
    """Stages that the store has already."""
    each_cell: Total
    each_spec: Total
    shared: Total
    to_do: Total

    @property
    def cells(self) -> int:
        """Return the cells of all specs."""
        return sum(share.cells for share in self.shares)


def overview(graphs: Sequence[StageGraph], done: AbstractSet[str], estimator: Estimator) -> Overview:
    """Return what specs come to in one store.

    Args:
        graphs: one for each spec.
        done: keys of the stages that the store has.
        estimator: what stages cost.
    """
    costs: dict[str, StageCost] = {}
    shares: list[SpecShare] = []
    for graph in graphs:
        before = len(costs)
        for key, node in graph.nodes.items():
            if key not in costs:
                costs[key] = estimator.cost(node.training)
        own = len(graph.nodes.keys() & done)
        new = len(costs) - before
        shares.append(SpecShare(len(graph.cells), len(graph.nodes), graph.stages_without_sharing, new, own))
    return Overview(
        shares=tuple(shares),
        done=len(costs.keys() & done),
        each_cell=total((costs[key], node.cells) for graph in graphs for key, node in graph.nodes.items()),
        each_spec=total((costs[key], 1) for graph in graphs for key in graph.nodes),
        shared=total((cost, 1) for cost in costs.values()),
        to_do=total((cost, 1) for key, cost in costs.items() if key not in done),
    )
