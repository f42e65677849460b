"""What `mfsweep run --until` saves, and whether its interval holds the truth where it stops: seeded simulation.

    python tests/evidence/stopping.py                # every row, 1,000 runs each: hours on one core
    python tests/evidence/stopping.py --draws 50 --rows 0 2

Planted laws are drawn as in coverage.py, the whole grid at once; a run then takes cells of it by the same functions as
`mfsweep run --until` does. The target is a multiple of what the whole grid's plain 95 % interval has at the median. The
others are looked at by the same rule (97.5 %, two degrees of freedom or more):

    random     cells in random order
    in order   whole replicates, one after another
    endpoints  the least and the greatest size alone, replicate by replicate; the law's rules (three sizes) are waived
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from coverage import GRADIENT, PAPER, Design

from mfsweep.analysis import looks
from mfsweep.analysis.gradient import gradient
from mfsweep.analysis.law_grid import GridSlot, LawGrid
from mfsweep.analysis.points_file import read_points
from mfsweep.analysis.pooled import sample_of
from mfsweep.analysis.replicates import labels
from mfsweep.analysis.table import Points

RECORDED = [Path(__file__).with_name(f"{name}_points.csv") for name in ("quickstart", "fig3")]
"""What `mfsweep run` of search_spaces/quickstart.yaml and search_spaces/mini/fig3.yaml gave."""
DRAWS = 1000
OTHERS = 60
"""Draws of the others, which look many times."""
SIZES = (10, 20, 45, 90, 174, 300)
ROWS: tuple[tuple[Design, str, float], ...] = (
    (Design(SIZES, 1, 5), "equal", 2.0),
    (Design(SIZES, 1, 10), "size", 2.0),
    (Design(SIZES, 1, 20), "equal", 4.0),
    (Design(SIZES, 4, 10), "size", 2.0),
    (Design(SIZES, 4, 10), "equal", 3.0),
    (PAPER, "equal", 2.0),
)
"""Design, prices, and the target over the whole grid's half-width."""


class Ended(NamedTuple):
    """How one run ended."""

    met: bool
    share: float
    """Of the whole grid's price."""
    low: float
    high: float
    """Of the interval at which it ended."""
    plain: tuple[float, float]
    """The 95 % interval of the same points."""
    looks: int


def grid_of(points: Points, price: str) -> LawGrid:
    """Return the grid of some points; a pre-training costs as many fine-tunings as `price` says.

    `equal`: two (it learns forces too), whatever its size; `size`: its structures over the mean of the fine-tunings'.
    """
    label = labels((point.seed, point.split_seed) for point in points)
    slots, prices = [], {}
    smallest = min(point.x_size for point in points)
    for place, point in enumerate(points):
        replicate = label[point.seed, point.split_seed]
        keys = (point.x_key, f"{point.x_key}/{point.y_key}")
        slots.append(GridSlot(place, point.group, point.x_key, replicate, math.log(point.x_size), keys))
        prices |= {keys[0]: 2.0 if price == "equal" else point.x_size / smallest, keys[1]: 1.0}
    return LawGrid(slots, prices)


def run(points: Points, target: float, price: str) -> Ended:
    """Return how a run until the half-width is below a target ends."""
    grid = grid_of(points, price)
    every = frozenset(range(len(grid.slots)))
    present: set[int] = set()
    seen, look = None, 0
    while True:
        said = looks.decide(grid, present, grid.stages(present), every, seen, target)
        if not isinstance(said, looks.Round):
            break
        present |= {place for choice in said.choices for place in choice.slots}
        look += 1
        seen = looks.see(some(points, present))
    share = grid.price(present) / grid.price(every)
    if seen is None:
        return Ended(False, share, -math.inf, math.inf, (-math.inf, math.inf), look)
    plain = seen.gradient.interval()
    return Ended(isinstance(said, looks.Met), share, *seen.interval, (plain.low, plain.high), look)


def needed(points: Points, steps: Sequence[Sequence[int]], target: float, price: str, *, ruled: bool = True) -> float:
    """Return the share of the price after which cells in some order have an interval of a look below a target.

    It is looked for by halving, as if more cells never widened an interval. Without end where all do not suffice.
    """
    grid = grid_of(points, price)

    def met(number: int) -> bool:
        return half_width(some(points, {place for step in steps[:number] for place in step}), ruled=ruled) < target

    if not met(len(steps)):
        return math.inf
    low, high = 0, len(steps)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(middle) else (middle, high)
    spent = grid.price({place for step in steps[:high] for place in step})
    return spent / grid.price(range(len(grid.slots)))


def half_width(points: Points, *, ruled: bool) -> float:
    """Return the half-width of the interval of a look; without the law's rules, two sizes are enough."""
    if ruled:
        seen = looks.see(points)
        enough = seen is not None and seen.gradient.freedom >= looks.LEAST
        return seen.interval.half_width if seen and enough else math.inf
    sample = sample_of([[point for point in points if point.group == group] for group in points.labels])
    if sample.clusters - len(set(sample.replicate.tolist())) - 1 < 1:
        return math.inf
    found = gradient(sample, sample.size)
    return found.interval(1 - looks.ALPHA).half_width if found.freedom >= looks.LEAST else math.inf


def some(points: Points, places: set[int]) -> Points:
    """Return some of the points."""
    kept = tuple(point for place, point in enumerate(points) if place in places)
    return dataclasses.replace(points, points=kept, labels={one.group: str(one.group) for one in kept})


def row(design: Design, price: str, factor: float, draws: int, others: int) -> str:
    """Return one line of the table."""
    rng = np.random.default_rng(11)
    drawn = [design.points(rng) for _ in range(others)]
    whole = [looks.see(points) for points in drawn]
    plain_width = float(np.median([one.gradient.interval().half_width for one in whole if one]))
    target = plain_width * factor
    shares = [f"{_median([needed(points, _order(points, kind), target, price, ruled=kind != 'endpoints') for points in drawn])}" for kind in ("random", "in order", "endpoints")]  # fmt: skip
    rng = np.random.default_rng(12)
    ended = [run(design.points(rng), target, price) for _ in range(draws)]
    met = [one for one in ended if one.met]
    held = np.mean([one.low <= GRADIENT <= one.high for one in met])
    plain = np.mean([one.plain[0] <= GRADIENT <= one.plain[1] for one in met])
    can = np.mean([one is not None and one.interval.half_width < target for one in whole])
    return (
        f"| {design.text} | {price} | {plain_width:.3f} | {target:.3f} | {_median([one.share for one in met])} | "
        f"{' | '.join(shares)} | {len(met) / len(ended):.2f} of {can:.2f} | {np.mean([one.looks for one in met]):.1f} | "
        f"{held:.3f} | {plain:.3f} |"
    )


def _order(points: Points, kind: str) -> list[list[int]]:
    """Return the cells of a grid in steps."""
    if kind == "random":
        return [[int(place)] for place in np.random.default_rng(13).permutation(len(points))]
    ends = {min(point.x_size for point in points), max(point.x_size for point in points)}
    steps: dict[object, list[int]] = {}
    for place, point in enumerate(points):
        if kind == "in order" or point.x_size in ends:
            steps.setdefault((point.seed, point.split_seed), []).append(place)
    return list(steps.values())


def _median(shares: Sequence[float]) -> str:
    """Return the median share and the range of the middle 80 %; a run that is never narrow enough counts as endless."""
    low, middle, high = (float(np.quantile(shares, place, method="nearest")) for place in (0.1, 0.5, 0.9))
    return f"{middle:.0%} ({low:.0%} to {high:.0%})".replace("inf%", "never")


def recorded() -> Iterator[str]:
    """Yield a line for each recorded grid and target: a run takes its cells as if they were trained then."""
    for path in RECORDED:
        points = read_points(path)
        whole = looks.see(points)
        assert whole is not None
        width = whole.gradient.interval().half_width
        for factor in (1.25, 1.5, 2.0):
            ended = run(points, factor * width, "equal")
            said = "met" if ended.met else "not met"
            gradient_of = f"{ended.low:.2f} to {ended.high:.2f}"
            yield f"| {path.stem} | {width:.2f} | {factor * width:.2f} | {ended.share:.0%} | {said} | {gradient_of} |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--others", type=int, default=OTHERS)
    parser.add_argument("--rows", type=int, nargs="*", default=range(len(ROWS)))
    asked = parser.parse_args()
    head = (
        "design | prices | whole grid | target | --until | random | in order | endpoints | met | looks | held | plain"
    )
    print(f"| {head} |\n|" + " --- |" * 12)
    for number in asked.rows:
        print(row(*ROWS[number], asked.draws, asked.others), flush=True)
    print("\n| recorded grid | whole grid | target | --until | | gradient |\n|" + " --- |" * 6)
    for line in recorded():
        print(line, flush=True)


if __name__ == "__main__":
    main()
