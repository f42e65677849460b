"""When a run ends: coverage at the end by the exact distribution of variances, and what each look leads to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis import looks
from mfsweep.analysis.gradient import Gradient, LawSpread
from mfsweep.analysis.law_grid import GridSlot, LawGrid
from mfsweep.analysis.looks import ALPHA, ASSUMED, Met, Round, Seen, Unmet, decide, foresee
from mfsweep.analysis.sharpen import first_design
from mfsweep.analysis.table import Points

RUNS = 8_000
LARGEST = 40
"""Information at which a run ends in any case, over that of its first look."""


def coverage(target: float, alpha: float, *, freedom: int, growth: float) -> float:
    """Return the share of runs whose interval holds the truth where it first is narrower than a target.

    The spread is 1, and the information of the first look is too; a run grows by at most a factor, and gains a degree
    of freedom for each part of information. An estimate is independent of the variances, so that its share is known.
    """
    rng = np.random.default_rng(1)
    quantiles = stats.t.isf(alpha / 2, np.arange(1, LARGEST * freedom * 2 + 1))
    free = np.full(RUNS, freedom)
    squares = rng.chisquare(freedom, RUNS)
    held, running = np.zeros(RUNS), np.ones(RUNS, dtype=bool)
    while running.any():
        information = free / freedom
        half = quantiles[free - 1] * np.sqrt(squares / free / information)
        ends = running & ((half < target) | (information > LARGEST))
        held[ends] = 2 * stats.norm.cdf(half[ends] * np.sqrt(information[ends])) - 1
        running &= ~ends
        more = np.ceil(free * (np.clip((half / target) ** 2, 1.0, growth) - 1)).astype(int).clip(1) * running
        squares += rng.chisquare(np.maximum(more, 1)) * running
        free += more
    return float(held.mean())


@pytest.mark.parametrize(("freedom", "growth"), [(2, 2.0), (2, 1.05), (3, 2.0), (3, 1.05), (6, 2.0)])
def test_an_interval_holds_the_truth_where_a_run_ends_whatever_the_spread(freedom, growth):
    targets = np.geomspace(0.4, 2.5, 5)
    worst = min(coverage(target, ALPHA, freedom=freedom, growth=growth) for target in targets)
    assert worst > 0.945
    plain = min(coverage(target, 0.05, freedom=freedom, growth=growth) for target in targets)
    assert plain < worst
    assert plain < 0.945, "looking again and again is paid for"


def grid(replicates: int = 6, sizes=(10, 40, 160), groups=(20, 60)) -> LawGrid:
    slots, prices = [], {}
    for replicate in range(replicates):
        for size in sizes:
            for group in groups:
                keys = (f"{size}-{replicate}", f"{size}-{replicate}-{group}")
                prices |= {keys[0]: 2.0, keys[1]: 1.0}
                slots.append(GridSlot(len(slots), (group,), keys[0], replicate, math.log(size), keys))
    return LawGrid(slots, prices)


def seen(made: LawGrid, present, wider: float = 1.0, spread: LawSpread = ASSUMED) -> Seen:
    """Return what a look sees where the interval is so many times as wide as its design has it."""
    freedom = (
        len({made.slots[place].cluster for place in present}) - len({made.slots[p].replicate for p in present}) - 1
    )
    half = made.half_width(present, spread, ALPHA) * wider
    return Seen(Gradient(0.9, half / stats.t.isf(ALPHA / 2, freedom), freedom), spread, len(present))


@pytest.mark.parametrize("wider", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 1.1])
def test_a_run_ends_and_never_takes_what_it_does_not_need(share, wider):
    made = grid()
    every = frozenset(range(len(made.slots)))
    target = share * made.half_width(first_design(made, ASSUMED, frozenset(), every), ASSUMED, ALPHA)
    present: frozenset[int] = frozenset()
    said = decide(made, present, frozenset(), every, None, target)
    rounds = 0
    while isinstance(said, Round):
        chosen = {place for choice in said.choices for place in choice.slots}
        assert chosen
        assert not chosen & present
        if present:
            first, *rest = said.choices
            assert sum(choice.price for choice in rest) <= made.price(present), "a round at most doubles what is there"
            assert first.price < made.price(every)
        present |= chosen
        rounds += 1
        last = seen(made, present, wider)
        said = decide(made, present, frozenset(made.stages(present)), every, last, target)
    narrow = last.interval.half_width < target
    assert isinstance(said, Met) == narrow
    if isinstance(said, Unmet):
        assert said.whole >= target * (1 if said.exhausted else 0)
        assert said.replicates is None or said.replicates > 6 or said.exhausted
    assert rounds < 8


def test_a_whole_grid_that_cannot_suffice_is_told_before_it_is_trained():
    made = grid()
    every = frozenset(range(len(made.slots)))
    present = frozenset(first_design(made, ASSUMED, frozenset(), every))
    target = made.half_width(every, ASSUMED, ALPHA) / 5
    said = decide(made, present, frozenset(made.stages(present)), every, seen(made, present), target)
    assert isinstance(said, Unmet)
    assert not said.exhausted
    assert said.replicates == pytest.approx(6 * (said.whole / target) ** 2, abs=1)


def test_where_nothing_is_left_the_run_says_so():
    made = grid(2)
    every = frozenset(range(len(made.slots)))
    said = decide(made, every, frozenset(made.stages(every)), every, seen(made, every), 1e-3)
    assert isinstance(said, Unmet)
    assert said.exhausted


def test_lost_stages_are_replaced_by_another_replicate():
    made = grid(4)
    lost = {place for place, slot in enumerate(made.slots) if slot.replicate == 0}
    present = frozenset(place for place, slot in enumerate(made.slots) if slot.replicate == 1)
    possible = frozenset(range(len(made.slots))) - lost
    said = decide(made, present, frozenset(made.stages(present)), possible, None, 0.2)
    assert isinstance(said, Round)
    (choice,) = said.choices
    assert {made.slots[place].replicate for place in choice.slots} == {2}


def test_what_is_foreseen_is_what_comes_where_points_lie_apart_as_assumed():
    made = grid()
    every = frozenset(range(len(made.slots)))
    start = first_design(made, ASSUMED, frozenset(), every)
    target = 0.6 * made.half_width(start, ASSUMED, ALPHA)
    expected = foresee(made, frozenset(), frozenset(), every, None, target)
    present: frozenset[int] = frozenset()
    said: object = decide(made, present, frozenset(), every, None, target)
    rounds = 0
    while isinstance(said, Round):
        present |= {place for choice in said.choices for place in choice.slots}
        rounds += 1
        said = decide(made, present, frozenset(made.stages(present)), every, seen(made, present), target)
    assert (expected.rounds, expected.slots) == (rounds, present)
    assert expected.half_width < target


def test_without_three_sizes_a_look_sees_nothing():
    assert looks.see(Points("a.validation.energy_mae", "b.validation.energy_mae", (), ())) is None
