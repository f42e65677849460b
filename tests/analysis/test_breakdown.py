from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.analysis.breakdown import FEWEST, by_group, by_number, mean_of

values = st.lists(st.tuples(st.floats(0, 1e3), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=60)


@given(values)
def test_bins_and_groups_hold_every_value_once(rows):
    errors, formula, x = (np.array(column) for column in zip(*rows, strict=True))
    bins = by_number(errors, formula, x)
    assert sum(one.mean.number for one in bins) == len(rows)
    assert sum(one.mean.number * one.mean.value for one in bins) == pytest.approx(errors.sum())
    assert all(one.high < other.low for one, other in itertools.pairwise(bins)), "equal x stay together"
    assert all(one.low <= one.middle <= one.high for one in bins)
    groups = by_group(errors, formula, [str(one) for one in formula])
    assert sum(one.number for one in groups.values()) == len(rows)
    assert all(one.formulae == 1 and one.low is None for one in groups.values())


def test_an_interval_is_over_formulae_not_structures():
    errors, formula = np.tile([1.0, 2.0, 3.0, 4.0], 25), np.tile(np.arange(4), 25)
    mean = mean_of(errors, formula)
    alone = mean_of(errors[:4], formula[:4])
    assert (mean.value, mean.low, mean.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert mean.high - mean.value == pytest.approx(3.182 * np.std([1, 2, 3, 4], ddof=1) / 2, rel=1e-3)


def test_an_interval_holds_the_mean_of_all_formulae_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        level = rng.gamma(9.0, 1.0, size=12)
        formula = np.repeat(np.arange(12), rng.integers(3, 8, size=12))
        mean = mean_of(level[formula] + rng.normal(scale=0.3, size=len(formula)), formula)
        held += mean.low <= 9.0 <= mean.high
    assert 0.92 <= held / 400 <= 0.98


def test_too_few_formulae_have_no_interval():
    assert FEWEST == 3
    assert mean_of(np.array([1.0, 2.0]), np.array([0, 1])).low is None
