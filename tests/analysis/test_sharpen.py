"""The choice of cells: what a design is expected to give, what a law needs first, and what is worth its price."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from mfsweep.analysis.gradient import LawSpread
from mfsweep.analysis.law_grid import GridSlot, LawGrid
from mfsweep.analysis.sharpen import DesignProblem, first_design, next_cells

SPREAD = LawSpread(residual=0.01, cluster=0.02, slopes=0.0, per_z=-0.4)
ALPHA = 0.05


def grid(sizes, groups, replicates, dear=lambda _: 1.0, twins=1):
    """Return a full grid whose pre-trainings cost `dear` each and whose fine-tunings cost 1."""
    slots, prices = [], {}
    for replicate in range(replicates):
        for size in sizes:
            for twin in range(twins):
                for group in groups:
                    above = f"{size}-{twin}-{replicate}"
                    keys = (above, f"{above}-{group}")
                    prices |= {keys[0]: dear(size), keys[1]: 1.0}
                    slots.append(GridSlot(len(slots), (group,), above, replicate, math.log(size), keys))
    return LawGrid(slots, prices)


grids = some.builds(
    grid,
    sizes=some.lists(some.integers(5, 3000), min_size=4, max_size=6, unique=True),
    groups=some.lists(some.integers(10, 400), min_size=1, max_size=3, unique=True),
    replicates=some.integers(2, 4),
    dear=some.sampled_from([lambda _: 2.0, lambda size: size / 10]),
    twins=some.integers(1, 2),
)
spreads = some.builds(
    LawSpread,
    residual=some.floats(1e-4, 0.1),
    cluster=some.floats(0, 0.1),
    slopes=some.sampled_from([0.0, 0.0, 0.01]),
    per_z=some.floats(-1, -0.1),
)


def by_least_squares(made, present, spread):
    """Return the standard error of the gradient by generalised least squares over the whole design at once."""
    slots = [made.slots[place] for place in sorted(present)]
    names = list(dict.fromkeys((slot.group, slot.replicate) for slot in slots))
    blocks = np.array([names.index((slot.group, slot.replicate)) for slot in slots])
    alike = np.array([[one.cluster == two.cluster for two in slots] for one in slots])
    covariance = spread.residual * np.eye(len(slots)) + spread.cluster * alike
    design = np.column_stack([np.eye(len(names))[blocks], [slot.z for slot in slots]])
    return math.sqrt(np.linalg.inv(design.T @ np.linalg.inv(covariance) @ design)[-1, -1]) / abs(spread.per_z)


@given(grids, spreads, some.data())
@settings(max_examples=25, deadline=None)
def test_the_expected_half_width_is_that_of_generalised_least_squares(made, spread, data):
    spread = spread._replace(slopes=0.0)
    begun = first_design(made, spread, frozenset(), frozenset(range(len(made.slots))))
    carried = {made.slots[place].group for place in begun}
    others = [place for place, slot in enumerate(made.slots) if slot.group in carried]
    present = {*begun, *data.draw(some.lists(some.sampled_from(others), max_size=8))}
    clusters = {made.slots[place].cluster for place in present}
    replicates = {made.slots[place].replicate for place in present}
    got = made.half_width(present, spread, ALPHA)
    told = by_least_squares(made, present, spread)
    # Two pre-trainings of one replicate that share no group have an intercept each: degrees of freedom are the law's.
    least = stats.t.isf(ALPHA / 2, len(clusters) - len(replicates) - 1) * told
    assert got >= least * (1 - 1e-6)
    if len(carried) == 1:
        assert got == pytest.approx(least)


@given(grids, spreads, some.data())
@settings(max_examples=25, deadline=None)
def test_one_more_cell_of_a_group_never_widens_what_is_expected(made, spread, data):
    every = frozenset(range(len(made.slots)))
    begun = set(first_design(made, spread, frozenset(), every))
    groups = {made.slots[place].group for place in begun}
    present = begun | {place for place in every if made.slots[place].group in groups and data.draw(some.booleans())}
    for place in sorted(every - present):
        slot = made.slots[place]
        begun_block = any(
            made.slots[other].cluster == slot.cluster and made.slots[other].group != slot.group for other in present
        )
        if slot.group in groups and (begun_block or len(groups) == 1):
            before, after = (made.half_width(own, spread, ALPHA) for own in (present, present | {place}))
            assert after <= before * (1 + 1e-9)
            return


@given(grids, spreads)
@settings(max_examples=25, deadline=None)
def test_a_run_begins_with_the_span_of_sizes_and_groups_in_whole_replicates(made, spread):
    every = frozenset(range(len(made.slots)))
    begun = first_design(made, spread, frozenset(), every)
    assert math.isfinite(made.half_width(begun, spread, ALPHA))
    of: dict = {}
    for place in begun:
        slot = made.slots[place]
        of.setdefault(slot.replicate, {}).setdefault(slot.group, []).append(slot.z)
    sizes = {slot.z for slot in made.slots}
    groups = [slot.group[0] for slot in made.slots]
    for groups_of in of.values():
        assert {group for (group,) in groups_of} == {min(groups), max(groups)}
        for own in groups_of.values():
            assert {min(sizes), max(sizes)} <= set(own)
            assert len(set(own)) >= 3
    assert len({tuple(sorted((group, tuple(sorted(own))) for group, own in one.items())) for one in of.values()}) == 1


def test_a_replicate_that_is_trained_already_is_begun_with():
    made = grid((10, 40, 160), (20,), 4)
    have = made.stages(place for place, slot in enumerate(made.slots) if slot.replicate == 3)
    begun = first_design(made, SPREAD, have, frozenset(range(len(made.slots))))
    assert {made.slots[place].replicate for place in begun} == {0, 3}


@pytest.mark.parametrize(("sizes", "replicates"), [((10, 40), 5), ((10, 40, 160), 1)])
def test_a_grid_that_the_laws_own_rules_refuse_has_no_beginning(sizes, replicates):
    made = grid(sizes, (20, 60), replicates)
    assert first_design(made, SPREAD, frozenset(), frozenset(range(len(made.slots)))) is None


def test_one_replicate_begins_with_four_sizes():
    made = grid((10, 20, 40, 80, 160), (20, 60), 1)
    begun = first_design(made, SPREAD, frozenset(), frozenset(range(len(made.slots))))
    assert len({made.slots[place].z for place in begun}) == 4


@given(grids, spreads, some.floats(0.2, 0.95))
@settings(max_examples=20, deadline=None)
def test_choices_lead_to_the_target_each_for_what_it_lacks(made, spread, share):
    every = frozenset(range(len(made.slots)))
    present = frozenset(first_design(made, spread, frozenset(), every))
    have = frozenset(made.stages(present))
    start, whole = made.half_width(present, spread, ALPHA), made.half_width(every, spread, ALPHA)
    target = start + share * (whole - start) if whole < start else start * share
    at, mine, paid = start, set(present), set(have)
    for choice in next_cells(DesignProblem(made, every, spread, ALPHA), present, have, target, math.inf):
        assert not mine & set(choice.slots)
        assert at >= target
        assert choice.before == at
        assert choice.after < at
        missing = made.stages(choice.slots) - paid
        assert choice.price == pytest.approx(sum(made.prices[key] for key in missing)), "what is shared is paid once"
        mine |= set(choice.slots)
        paid |= missing
        at = made.half_width(mine, spread, ALPHA)
        assert at == pytest.approx(choice.after)


def test_of_sizes_that_cost_alike_the_outermost_are_chosen():
    made = grid((10, 40, 160), (20,), 6)
    every = frozenset(range(len(made.slots)))
    present = frozenset(first_design(made, SPREAD, frozenset(), every))
    first = next_cells(DesignProblem(made, every, SPREAD, ALPHA), present, made.stages(present), 0.0, 0.0)[0]
    assert {made.slots[place].z for place in first.slots} == {math.log(10), math.log(160)}


def test_a_limit_holds_for_all_but_the_first():
    made = grid((10, 40, 160), (20,), 9)
    every = frozenset(range(len(made.slots)))
    present = frozenset(first_design(made, SPREAD, frozenset(), every))
    have = made.stages(present)
    one, *more = next_cells(DesignProblem(made, every, SPREAD, ALPHA), present, have, 1e-6, 9.0)
    assert one.price + sum(choice.price for choice in more) <= 9.0
    assert len(next_cells(DesignProblem(made, every, SPREAD, ALPHA), present, have, 1e-6, 0.0)) == 1


def test_what_cannot_be_had_is_not_chosen():
    made = grid((10, 20, 40, 160), (20, 60), 4)
    possible = frozenset(place for place, slot in enumerate(made.slots) if slot.replicate != 2)
    present = frozenset(first_design(made, SPREAD, frozenset(), possible))
    chosen = next_cells(DesignProblem(made, possible, SPREAD, ALPHA), present, made.stages(present), 1e-6, math.inf)
    assert {place for choice in chosen for place in choice.slots} | present == possible
