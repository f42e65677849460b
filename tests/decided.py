"""A run until the regret of a decision is small, on made-up cells: taken from a whole table as if they were trained."""

from __future__ import annotations

from typing import NamedTuple

from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.decide import Decision, decide
from mfsweep.analysis.budget.grid import DecisionGrid
from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.budget.rounds import RegretSeen, next_round
from mfsweep.analysis.looks import Met, Round


class Decided(NamedTuple):
    """How one run ended."""

    met: bool
    share: float
    """Of the whole grid's price."""
    looks: int
    seen: RegretSeen
    decision: Decision
    """By the cells at its end."""


def grid_of(measured: MeasuredWays) -> DecisionGrid:
    """Return the grid of some cells; a pre-training costs two fine-tunings."""
    cells, stages = measured.cells, []
    prices: dict[str, float] = {}
    for place, pretraining in enumerate(cells.pretraining or ()):
        keys = {f"{place}": 1.0} | ({f"pretrain {pretraining}": 2.0} if cells.n_pre[place] else {})
        prices |= keys
        stages.append(frozenset(keys))
    return DecisionGrid(measured, stages, prices)


def decided(grid: DecisionGrid, present: frozenset[int], prices: Prices, budget: float) -> Decision:
    """Return the decision by some cells."""
    errors, hours = grid.planned.cells.error, grid.planned.hours
    found = {place: (float(errors[place]), float(hours[place])) for place in present}
    return decide(grid.trained(found, "cpu"), prices, budget)


def run(measured: MeasuredWays, prices: Prices, budget: float, limit: float) -> Decided:
    """Return how a run ends that takes cells as `mfsweep run --until` does."""
    grid = grid_of(measured)
    every = frozenset(range(len(grid)))
    present, looks = grid.first_design(frozenset(), every), 0
    while True:
        decision, looks = decided(grid, present, prices, budget), looks + 1
        seen, said = next_round(grid, decision, present, grid.stages(present), every, limit)
        if not isinstance(said, Round):
            share = grid.price(present) / grid.price(every)
            return Decided(isinstance(said, Met), share, looks, seen, decision)
        present |= {place for choice in said.choices for place in choice.slots}
