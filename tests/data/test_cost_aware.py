from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.cost_aware import BatchItems, alike, best_fit, cost_aware, predicted
from mfsweep.spec.batching import CostAwareBatching, StepTime

MAX_ATOMS = 256


@st.composite
def passes(draw):
    """Draw the items of a pass and a batching whose caps they keep."""
    atoms = np.array(draw(st.lists(st.integers(1, 64), min_size=1, max_size=300)), np.int64)
    share = np.array(draw(st.lists(st.floats(0, 1), min_size=len(atoms), max_size=len(atoms))))
    items = BatchItems(atoms, np.rint(share * atoms * (atoms - 1)).astype(np.int64))
    batching = CostAwareBatching(
        packer="cost_aware",
        max_atoms=draw(st.integers(64, 300)),
        max_edges=draw(st.none() | st.integers(max(1, int(items.edges.max())), 6000)),
        batches_per_step=draw(st.integers(1, 6)),
        step_time=draw(st.builds(StepTime, constant=st.floats(0, 9), atom=st.floats(0.1, 9), edge=st.floats(0, 9))),
    )
    return items, batching, draw(st.integers(0, batching.batches_per_step - 1)), draw(st.integers(0, 9))


def packed(items, batching, first, seed):
    return [batch.tolist() for batch in cost_aware(items, batching, first, np.random.default_rng(seed))]


@given(passes())
def test_every_item_is_in_one_batch_and_both_caps_are_kept(drawn):
    items, batching, *_ = drawn
    batches = packed(*drawn)
    assert sorted(position for batch in batches for position in batch) == list(range(len(items.atoms)))
    assert all(0 < items.atoms[batch].sum() <= batching.max_atoms for batch in batches)
    assert all(items.edges[batch].sum() <= (batching.max_edges or np.inf) for batch in batches)


@given(passes())
def test_the_same_items_and_seed_make_the_same_batches(drawn):
    assert packed(*drawn) == packed(*drawn)


@given(passes())
def test_groups_of_a_step_follow_one_another_in_predicted_time(drawn):
    items, batching, first, _ = drawn
    batches = packed(*drawn)
    totals = np.array([(items.atoms[batch].sum(), items.edges[batch].sum()) for batch in batches])
    times = predicted(batching.step_time, *totals.T)
    tail = (len(batches) - min(first, len(batches))) % batching.batches_per_step
    groups = times[first : len(times) - tail].reshape(-1, batching.batches_per_step)
    ranges = sorted(zip(groups.min(axis=1), groups.max(axis=1), strict=True))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


def test_an_item_goes_to_the_fullest_bin_that_has_room():
    # 6 opens a bin, 5 another (4 and 5 left); 4 fits both and takes the first to its end, 5 the second.
    items = BatchItems(np.array([6, 5, 4, 5, 1]), np.zeros(5, np.int64))
    assert best_fit(items, 10).tolist() == [0, 1, 0, 1, 2]
    # with room for two items' edges only, the fullest by edges is closed though it has room for atoms
    items = BatchItems(np.array([1, 1, 1, 1]), np.array([5, 5, 5, 5]))
    assert best_fit(items, 10, 10).tolist() == [0, 0, 1, 1]


def test_what_does_not_fill_a_step_is_of_middling_time_at_either_end_of_the_pass():
    times = np.arange(11.0)
    order = alike(times, 4, first=2, generator=np.random.default_rng(0)).tolist()
    assert set(order[:2]) | set(order[10:]) == {4, 5, 6}
    assert {frozenset(order[2:6]), frozenset(order[6:10])} == {frozenset({0, 1, 2, 3}), frozenset({7, 8, 9, 10})}


def test_another_order_of_arrival_and_another_seed_make_other_batches():
    items = ani_like(2000)
    batching = CostAwareBatching(packer="cost_aware")
    shuffled = np.random.default_rng(1).permutation(2000)
    sets = {frozenset(batch) for batch in packed(items, batching, 0, 0)}
    others = {frozenset(shuffled[batch].tolist()) for batch in packed(items.at(shuffled), batching, 0, 0)}
    assert len(sets & others) < len(sets) / 10
    assert packed(items, batching, 0, 0) != packed(items, batching, 0, 1)


def test_ani_like_sizes_fill_batches_and_load_four_ranks_evenly():
    items = ani_like(40_000)
    batching = CostAwareBatching(packer="cost_aware")
    batches = packed(items, batching, 0, 0)
    totals = np.array([(items.atoms[batch].sum(), items.edges[batch].sum()) for batch in batches])
    assert totals[:, 0].mean() / MAX_ATOMS >= 0.995
    times = predicted(batching.step_time, *totals.T)
    steps = times[: len(times) // 4 * 4].reshape(-1, 4)
    assert steps.max(axis=1).sum() / steps.mean(axis=1).sum() <= 1.005


def ani_like(count):
    """Items about as in ANI-1ccx, whose atoms are nearly all neighbours."""
    atoms = np.clip(np.rint(np.random.default_rng(0).normal(13.8, 4.5, count)), 2, 63).astype(np.int64)
    return BatchItems(atoms, atoms * (atoms - 1))


def test_item_above_a_cap_is_refused():
    items = BatchItems(np.array([3, 257]), np.array([6, 8]))
    with pytest.raises(ValueError, match="item 1 has 257 atoms, more than the cap of 256"):
        best_fit(items, MAX_ATOMS)
    with pytest.raises(ValueError, match="item 1 has 8 edges, more than the cap of 7"):
        best_fit(items, 300, 7)
