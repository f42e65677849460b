from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.survey.outliers import outliers


def test_far_values_are_found_the_farthest_first_and_widen_nothing():
    values = np.random.default_rng(0).normal(3.0, 2.0, 4001)
    clean = outliers(values)
    assert clean.median == pytest.approx(3.0, abs=0.1)
    assert clean.spread == pytest.approx(2.0, rel=0.05)
    assert not len(clean.index)
    values[[7, 9]] = 1e3, -1e6
    found = outliers(values)
    assert found.index.tolist() == [9, 7]
    assert found.scores[0] < 0 < found.scores[1]
    assert found.spread == pytest.approx(clean.spread, rel=0.01)


def test_what_has_no_value_is_no_outlier_and_does_not_count():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan, np.inf, 1e9])
    assert outliers(values).index.tolist() == [7]
    assert not len(outliers(np.full(3, np.nan)).index)


def test_values_without_spread_have_no_outliers():
    assert not len(outliers(np.array([1.0, 1.0, 1.0, 5.0])).index)
