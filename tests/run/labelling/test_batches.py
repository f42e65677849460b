from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run.labelling.batches import GROWTH, LARGEST, SHORTEST, TARGET_SECONDS, TRIES, Batches


def test_the_first_batches_are_single_structures_and_the_next_ones_take_seconds():
    batches = Batches(np.arange(100_000), slots=2)
    assert [len(batches.take().members) for _ in range(3)] == [1, 1, 1]
    for _ in range(12):
        batch = batches.take()
        batches.measured(len(batch.members), 0.01 * len(batch.members))
    assert len(batches.take().members) == pytest.approx(TARGET_SECONDS / 0.01, rel=0.01)


def test_batches_grow_step_by_step_and_end_at_a_largest():
    batches, sizes = Batches(np.arange(1_000_000), slots=2), []
    for _ in range(12):
        batch = batches.take()
        sizes.append(len(batch.members))
        batches.measured(len(batch.members), 1e-9)
    assert sizes[:4] == [1, GROWTH, GROWTH**2, GROWTH**3]
    assert max(sizes) == LARGEST


def test_dear_structures_go_one_by_one():
    batches = Batches(np.arange(100), slots=2)
    for _ in range(5):
        batch = batches.take()
        batches.measured(1, 30.0)
        assert len(batch.members) == 1


def test_batches_shrink_towards_the_end():
    batches = Batches(np.arange(1000), slots=4)
    batches.measured(1000, 1000 * TARGET_SECONDS / 200)
    sizes = []
    while (batch := batches.take()) is not None:
        sizes.append(len(batch.members))
    assert sum(sizes) == 1000
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 125
    assert min(sizes[:-1]) == SHORTEST * 200


def test_a_fixed_size_stays():
    batches = Batches(np.arange(10), slots=4, size=4)
    assert [len(batches.take().members) for _ in range(3)] == [4, 4, 2]
    assert batches.take() is None


@given(
    count=st.integers(1, 60),
    size=st.integers(1, 20),
    killers=st.sets(st.integers(0, 59), max_size=3),
    unlucky=st.sets(st.integers(0, 59), max_size=3),
)
def test_every_structure_comes_back_or_is_given_up_and_only_killers_are(count, size, killers, unlucky):
    batches = Batches(np.arange(count), slots=2, size=size)
    back, lost, tasks = [], [], 0
    unlucky = set(unlucky)
    while (batch := batches.take()) is not None:
        tasks += 1
        members = set(batch.members.tolist())
        accidents = unlucky & members
        unlucky -= accidents  # a machine that dies takes a batch along once
        if members & killers or (accidents and len(batch.members) > 1):
            given_up = batches.died(batch)
            lost += [] if given_up is None else [given_up]
        else:
            back += batch.members.tolist()
    assert sorted(back + lost) == list(range(count))
    assert set(lost) == killers & set(range(count))
    assert tasks < 200


def test_a_single_structure_is_tried_twice():
    batches = Batches(np.array([7]), slots=1)
    for _ in range(TRIES - 1):
        assert batches.died(batches.take()) is None
    assert batches.died(batches.take()) == 7
    assert batches.take() is None
