"""Makespan of the paper's grids by the order in which ready stages start: the longest chain first, in stages or seconds.

Stages are laid side by side as the queue hands them out, so many at a time, each after its parent. They take what the
cost model says times a random factor that no order knows (lognormal, sigma 0.3; the same for every order). The bound is
what no order can beat: the larger of the busy time over the places, and the longest chain.

    python tests/benchmarks/priorities.py [PLACES ...]
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mfsweep.plan.cost import Estimator
from mfsweep.plan.graph import StageGraph
from mfsweep.prepare import Plan
from mfsweep.quantities import HOUR
from mfsweep.sweep.cost_tables import tables
from mfsweep.sweep.sweep import Sweep

PAPER = Path(__file__).parents[2] / "search_spaces" / "paper"
PLACES = [int(word) for word in sys.argv[1:]] or [4, 8, 16, 32, 64]
DRAWS, SIGMA = 20, 0.3


def main() -> None:
    print("| spec | stages | places | by stages, over the bound | by seconds | in the order of the spec |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(PAPER.glob("*.yaml")):
            plan = Sweep(path, store=Path(folder) / "store").plan(without_data=True)
            estimated = seconds_of(plan)
            for places in PLACES:
                row = [
                    f"{np.mean(found):.1%}"
                    for found in zip(
                        *(compare(plan.graph, estimated, places, draw) for draw in range(DRAWS)), strict=True
                    )
                ]
                print(f"| {path.stem} | {len(estimated)} | {places} | {' | '.join(row)} |", flush=True)


def compare(graph: StageGraph, estimated: Mapping[str, float], places: int, draw: int) -> tuple[float, ...]:
    """Return how much longer than the bound the grid takes by each order."""
    random = np.random.default_rng(draw)
    taken = {key: own * float(random.lognormal(0, SIGMA)) for key, own in estimated.items()}
    parents = {key: node.parent for key, node in graph.nodes.items()}
    bound = max(sum(taken.values()) / places, *chains(parents, taken.__getitem__).values())
    by_stages, by_seconds = chains(parents, lambda _: 1.0), chains(parents, estimated.__getitem__)
    orders: list[Callable[[str], float]] = [by_stages.__getitem__, by_seconds.__getitem__, lambda _: 0.0]
    return tuple(makespan(parents, taken, places, order) / bound - 1 for order in orders)


def chains(parents: Mapping[str, str | None], weight: Callable[[str], float]) -> dict[str, float]:
    """Return the weight of the heaviest chain below and including each stage."""
    below = dict.fromkeys(parents, 0.0)
    found = {}
    for key in reversed(list(parents)):
        found[key] = weight(key) + below[key]
        if (parent := parents[key]) is not None:
            below[parent] = max(below[parent], found[key])
    return found


def makespan(
    parents: Mapping[str, str | None], taken: Mapping[str, float], places: int, first: Callable[[str], float]
) -> float:
    """Return when the last stage ends."""
    children: dict[str, list[str]] = {key: [] for key in parents}
    rank = {key: (-first(key), number) for number, key in enumerate(parents)}
    ready = []
    for key, parent in parents.items():
        if parent is None:
            heapq.heappush(ready, (*rank[key], key))
        else:
            children[parent].append(key)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < places:
            *_, key = heapq.heappop(ready)
            heapq.heappush(running, (now + taken[key], key))
        now, key = heapq.heappop(running)
        for child in children[key]:
            heapq.heappush(ready, (*rank[child], child))
    return now


def seconds_of(plan: Plan) -> dict[str, float]:
    """Return what each stage takes by the cost model, seconds; steps where no table knows its model."""
    estimator = Estimator(tables(plan.store, None, None))
    costs = {key: estimator.cost(node.training) for key, node in plan.graph.nodes.items()}
    if any(cost.hours is None for cost in costs.values()):
        return {key: float(cost.steps) for key, cost in costs.items()}
    return {key: HOUR * sum((cost.hours or {}).values()) for key, cost in costs.items()}


if __name__ == "__main__":
    main()
