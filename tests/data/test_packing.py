from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.packing import open_bins, worst_fit

CAPACITY = 256


@given(st.lists(st.integers(1, 64), max_size=400), st.integers(64, 300), st.integers(1, 12))
def test_every_item_is_in_one_batch_and_no_batch_is_above_the_capacity(sizes, capacity, bins):
    batches = worst_fit(sizes, capacity, bins)
    assert sorted(position for batch in batches for position in batch.tolist()) == list(range(len(sizes)))
    assert all(0 < sum(sizes[i] for i in batch) <= capacity for batch in batches)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=400), st.integers(64, 300), st.integers(1, 12))
def test_batch_is_emitted_only_when_an_item_fits_nowhere(sizes, capacity, bins):
    batches = worst_fit(sizes, capacity, bins)
    loads = [sum(sizes[i] for i in batch) for batch in batches]
    # Whatever is emitted early was the fullest bin, and even the emptiest had no room for some item.
    assert all(load + max(sizes) > capacity for load in loads[: max(0, len(loads) - bins)])
    tail = loads[-bins:]
    assert len(batches) <= bins or tail == sorted(tail, reverse=True)


def test_item_goes_to_the_emptiest_bin_and_the_fullest_is_emitted():
    # 6 | 4 | then 3 to the emptier (7), 2 to the 6 (8); 5 fits in neither: the 8 goes, 5 starts anew.
    batches = worst_fit([6, 4, 3, 2, 5], capacity=10, bins=2)
    assert [batch.tolist() for batch in batches] == [[0, 3], [1, 2], [4]]


def test_fill_on_ani_like_sizes_is_that_of_the_facts():
    sizes = _ani_like(40_000)
    fill = sizes.sum() / (len(worst_fit(sizes, CAPACITY, 8)) * CAPACITY)
    assert fill == pytest.approx(0.985, abs=0.005)


def _ani_like(count):
    """Sizes about as in ANI-1ccx: mean 13.8 atoms, 2 to 26."""
    rng = np.random.default_rng(0)
    return np.clip(np.rint(rng.normal(13.8, 4.5, count)), 2, 26).astype(np.int64)


@pytest.mark.parametrize("sizes", [[], np.array([], np.int64)])
def test_nothing_makes_no_batches(sizes):
    assert worst_fit(sizes, CAPACITY, 8) == []


def test_item_above_the_capacity_and_no_bins_are_refused():
    with pytest.raises(ValueError, match="item 1 has 257 atoms"):
        worst_fit([3, 257], CAPACITY, 8)
    with pytest.raises(ValueError, match="at least one bin"):
        worst_fit([3], CAPACITY, 0)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=300))
def test_small_sets_open_as_many_bins_as_they_fill(sizes):
    bins = open_bins(sizes, CAPACITY, 8, adapt=True)
    assert bins == min(8, int(np.ceil(sum(sizes) / CAPACITY)))
    assert open_bins(sizes, CAPACITY, 8, adapt=False) == 8
    # with them a set is at most about one batch from what its atoms ask for
    assert len(worst_fit(sizes, CAPACITY, bins)) <= 2 * sum(sizes) / CAPACITY + 2
