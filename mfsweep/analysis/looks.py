"""When a run that ends by what it has seen may end, and what its interval is then.

An interval is looked at after each round, and the run ends at the first one that is narrow enough. So it ends by
preference where the spread came out too small, and a plain 95 % interval would hold the truth less often: in as few as
91 of 100 runs (Anscombe 1952, Starr 1966). Here each look has an interval of 97.5 %. In the normal linear model an
estimate is independent of the estimates of its spread, so that what this comes to can be reckoned without knowing the
truth: at least 95 % of the runs hold it at their end, whatever the spread, the target and the number of looks, if the
first look has two or more degrees of freedom (tests/analysis/test_looks.py; tests/evidence/README.md, "Stopping").
So a run that goes on another day needs no account of the looks before it.

Pure: what a law has measured comes in, and what is to be done comes out.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from scipy import stats

from mfsweep.analysis.gradient import Gradient, LawSpread, gradient, instrument, spread
from mfsweep.analysis.interval import Interval
from mfsweep.analysis.law_grid import LawGrid
from mfsweep.analysis.pooled import pooled_sample
from mfsweep.analysis.sharpen import CellChoice, DesignProblem, GridPlaces, first_design, next_cells
from mfsweep.analysis.table import Points

ALPHA = 0.025
"""Chance of the interval of one look to miss, so that the one at which a run ends misses in at most 5 % of runs."""
ASSUMED = LawSpread(residual=0.1**2, cluster=0.1**2, slopes=0.0, per_z=-0.4)
"""What trainings lie apart by before any is done (assumed: 10 % each for a pre-training and a fine-tuning, errors that
fall by a quarter with twice the structures); only the first expectations rest on it."""
MANY = 100
"""Times the replicates of a grid, beyond which more of them are no advice."""
LEAST = 2
"""Degrees of freedom that a look needs for a run to end by it."""
SURE = 0.95
"""How sure it has to be, of the spread, that the whole grid would not suffice."""


class Seen(NamedTuple):
    """What a look has seen of a gradient."""

    gradient: Gradient
    """With errors of x allowed for."""
    spread: LawSpread
    points: int

    @property
    def interval(self) -> Interval:
        """Return the interval of a look; without bounds where x follows its size too weakly."""
        return self.gradient.interval(1 - ALPHA)


class Round(NamedTuple):
    """Cells to be trained before the next look."""

    choices: tuple[CellChoice, ...]


class Met(NamedTuple):
    """The interval is narrow enough."""


class Unmet(NamedTuple):
    """The whole grid does not suffice, or there is nothing left of it."""

    whole: float
    """Half-width that is expected of the whole grid; infinite where the law has none."""
    replicates: int | None
    """How many, like those that the grid has, are expected to suffice; None: not known, or more than anyone trains."""
    exhausted: bool
    """Whether everything has been trained."""


def see(points: Points) -> Seen | None:
    """Return the pooled gradient of some points as a look sees it, or None where there is no line.

    Without three sizes in a block there is none either: the size is the instrument.
    """
    sample = pooled_sample(points)
    z = instrument(sample) if sample else None
    if sample is None or z is None:
        return None
    found = gradient(sample, z)
    return Seen(found, spread(sample, found, z), len(points))


def decide(
    grid: LawGrid,
    present: AbstractSet[int],
    have: AbstractSet[str],
    possible: GridPlaces,
    seen: Seen | None,
    target: float,
) -> Round | Met | Unmet:
    """Return what follows from a look.

    Args:
        grid: of the law.
        present: its slots that have a point.
        have: keys of the stages that are there.
        possible: slots that are there or can be had.
        seen: what the look saw of the present slots; None: no line yet.
        target: half-width to be met.
    """
    if seen is None:
        # Before the first look, or where stages have failed: the design that identifies the law is still to come.
        first = first_design(grid, ASSUMED, have, possible)
        left = tuple(place for place in first or () if place not in present)
        if first is None or not left:
            return Unmet(math.inf, None, exhausted=not possible - present)
        after = grid.half_width({*present, *left}, ASSUMED, ALPHA)
        return Round((CellChoice(left, math.inf, after, grid.price(left, have)),))
    exhausted = not possible - present
    if seen.interval.half_width < target and (exhausted or seen.gradient.freedom >= LEAST):
        return Met()
    whole = grid.half_width(possible, seen.spread, ALPHA)
    if exhausted or grid.half_width(possible, _least(seen), ALPHA) >= target:
        width = seen.interval.half_width if exhausted else whole
        width = width if seen.interval.bounded else math.inf
        more = grid.replicates * (width / target) ** 2
        return Unmet(width, math.ceil(more) if more < MANY * grid.replicates else None, exhausted)
    # Where the interval came out wider than its design has it, the design has to be that much better.
    expected = grid.half_width(present, seen.spread, ALPHA)
    aim = target * min(1.0, expected / seen.interval.half_width)
    problem = DesignProblem(grid, possible, seen.spread, ALPHA)
    choices = next_cells(problem, present, have, aim, grid.price(present))
    choices = choices or next_cells(problem, present, have, 0.0, 0.0)
    if not choices:  # nothing narrows it by itself
        left = tuple(sorted(possible - present))
        choices = [CellChoice(left, expected, whole, grid.price(left, have))]
    return Round(tuple(choices))


def _least(seen: Seen) -> LawSpread:
    """Return the least spread that what was seen leaves possible."""
    freedom = seen.gradient.freedom
    factor = freedom / float(stats.chi2.ppf(SURE, freedom))
    # Slopes are told apart at a p-value of 0.25, by chance in a quarter of the runs: they may be equal.
    return LawSpread(seen.spread.residual * factor, seen.spread.cluster * factor, 0.0, seen.spread.per_z)


class Foreseen(NamedTuple):
    """What a run is expected to come to."""

    rounds: int
    slots: frozenset[int]
    """Present at its end."""
    half_width: float


def foresee(
    grid: LawGrid,
    present: AbstractSet[int],
    have: AbstractSet[str],
    possible: GridPlaces,
    seen: Seen | None,
    target: float,
) -> Foreseen:
    """Return what a run comes to if points lie apart as they have so far; before the first look, as is assumed."""
    own = seen.spread if seen else ASSUMED
    rounds = 0
    now, trained = frozenset(present), frozenset(have)
    while True:
        at = grid.half_width(now, own, ALPHA)
        if at < target:
            break
        if math.isfinite(at):
            choices = next_cells(DesignProblem(grid, possible, own, ALPHA), now, trained, target, grid.price(now))
        else:
            first = decide(grid, now, trained, possible, None, target)
            choices = list(first.choices) if isinstance(first, Round) else []
        if not choices:
            break
        rounds += 1
        now |= {place for choice in choices for place in choice.slots}
        trained |= grid.stages(now)
    return Foreseen(rounds, now, at)
