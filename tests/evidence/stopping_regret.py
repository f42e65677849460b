"""What `mfsweep run --until "budget.regret < LIMIT"` saves, and what its decisions truly lose: seeded simulation.

    python tests/evidence/stopping_regret.py               # every row
    python tests/evidence/stopping_regret.py --draws 5 --rows 0

Studies are made up as in budget.py, the whole grid at once; a run then takes cells of it by the same functions as the
command does. The budget is what the dearest cell's labels cost. *Random*: cells in random order after the same first
design, the share after which a look would have ended it; looked for by halving, as if more cells never raised the bound.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from budget import GRIDS, PRICES, TRUTHS, Grid, Truth, draw, true_errors
from decided import decided, grid_of, run

from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.budget.foresee import Foresight
from mfsweep.analysis.budget.measured import MeasuredWays
from mfsweep.analysis.budget.regret import LEVEL
from mfsweep.analysis.budget.rounds import seen

DRAWS = 40
OTHERS = 10
"""Draws of the random order, which looks many times."""
GRIDS_HERE = {
    "5 x 3 sizes, 3 seeds, 2 methods": GRIDS["5 x 3 sizes, 3 seeds, 2 methods"],
    "4 x 3 sizes, 8 seeds, 1 method": Grid((30, 100, 300, 1000), (30, 100, 300), 8, ("dft",)),
}
ROWS = [
    (truth, grid, limit)
    for truth in TRUTHS
    for grid, limit in (("5 x 3 sizes, 3 seeds, 2 methods", 0.05), ("4 x 3 sizes, 8 seeds, 1 method", 0.02))
]


class Row(NamedTuple):
    """One run."""

    met: bool
    share: float
    looks: int
    loss: float
    """True one of its decision."""
    whole: float
    """True one of the decision by the whole grid."""


def budget_of(grid: Grid) -> float:
    """Return what the labels of the dearest cell cost."""
    return PRICES.labels["cc"] * max(grid.n_ft) + PRICES.labels["dft"] * max(grid.n_pre)


def loss(decision: Decision, truth: Truth) -> float:
    """Return the true error of a decision over that of the best design of the same money, less 1."""
    errors = true_errors(decision.catalogue, truth)
    paid = decision.catalogue.cost <= decision.budget * (1 + 1e-9)
    return math.expm1(errors[decision.place] - errors[paid].min())


def needed(measured: MeasuredWays, budget: float, limit: float) -> float:
    """Return the share of the price after which cells in random order have the loss below a limit by a look."""
    grid = grid_of(measured)
    every = frozenset(range(len(grid)))
    first = grid.first_design(frozenset(), every)
    order = [int(place) for place in np.random.default_rng(13).permutation(sorted(every - first))]

    def met(number: int) -> bool:
        decision = decided(grid, first | set(order[:number]), PRICES, budget)
        return seen(Foresight(decision, None).now, limit).below >= LEVEL

    if not met(len(order)):
        return math.inf
    low, high = -1, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(middle) else (middle, high)
    return grid.price(first | set(order[:high])) / grid.price(every)


def row(truth_name: str, grid_name: str, limit: float, draws: int, others: int) -> str:
    """Return one line of the table."""
    truth, grid = TRUTHS[truth_name], GRIDS_HERE[grid_name]
    budget = budget_of(grid)
    generator = np.random.default_rng(17)
    rows: list[Row] = []
    random: list[float] = []
    first: list[float] = []
    for number in range(draws):
        measured, _ = draw(grid, truth, generator)
        ended = run(measured, PRICES, budget, limit)
        made = grid_of(measured)
        every = frozenset(range(len(made)))
        first.append(made.price(made.first_design(frozenset(), every)) / made.price(every))
        rows.append(
            Row(
                ended.met,
                ended.share,
                ended.looks,
                loss(ended.decision, truth),
                loss(decided(made, every, PRICES, budget), truth),
            )
        )
        if number < others:
            random.append(needed(measured, budget, limit))
    met = [one for one in rows if one.met]
    held = f"{np.mean([one.loss < limit for one in met]):.2f}" if met else "none met"
    mean = f"{np.mean([one.loss for one in met]):.1%}" if met else ""
    return (
        f"| {truth_name} | {grid_name} | {limit:.0%} | {np.median(first):.0%} | "
        f"{_median([one.share for one in met])} | {_median(random)} | {len(met)} of {draws} | "
        f"{np.mean([one.looks for one in rows]):.1f} | {held} | {mean} | {np.mean([one.whole for one in rows]):.1%} |"
    )


def _median(shares: Sequence[float]) -> str:
    """Return the median share and the range of the middle 80 %."""
    if not shares:
        return ""
    low, middle, high = (float(np.quantile(shares, place, method="nearest")) for place in (0.1, 0.5, 0.9))
    return f"{middle:.0%} ({low:.0%} to {high:.0%})".replace("inf%", "never")


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--others", type=int, default=OTHERS)
    parser.add_argument("--rows", type=int, nargs="*", default=range(len(ROWS)))
    asked = parser.parse_args()
    head = (
        "truth | grid | limit | first design | --until | random | met | looks | loses less | mean loss | of whole grid"
    )
    print(f"| {head} |\n|" + " --- |" * 11)
    for number in asked.rows:
        print(row(*ROWS[number], asked.draws, asked.others), flush=True)


if __name__ == "__main__":
    main()
