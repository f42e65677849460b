from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis.best import critical, not_worse


@pytest.mark.parametrize(
    ("others", "freedom", "published"),
    [(1, 10, 1.81), (2, 10, 2.15), (3, 10, 2.34), (4, 20, 2.30), (9, 5, 3.30), (9, 20, 2.60), (2, 5, 2.44)],
)
def test_the_critical_value_is_that_of_dunnetts_table(others, freedom, published):
    # Dunnett (1955), table 1a: one-sided, joint confidence 95 %.
    assert critical(others, freedom) == pytest.approx(published, abs=0.012)


def test_the_critical_value_gives_the_level_that_scipys_dunnett_finds():
    rng = np.random.default_rng(3)
    control, *others = rng.normal(size=(4, 6))
    pooled = np.sqrt(np.var([control, *others], axis=1, ddof=1).mean())
    shift = critical(3, 20) * pooled * np.sqrt(2 / 6)
    moved = [one - one.mean() + control.mean() + (shift if place == 0 else -1) for place, one in enumerate(others)]
    found = stats.dunnett(*moved, control=control, alternative="greater", random_state=1)
    assert found.pvalue[0] == pytest.approx(0.05, abs=0.002)


def test_a_seed_that_is_bad_for_all_hides_no_difference():
    seeds = np.array([0.0, 3.0, -2.0, 1.0])
    noise = 0.01 * np.random.default_rng(1).normal(size=(3, 4))
    scores = np.exp(np.array([0.0, 0.5, 1.0])[:, None] + seeds + noise)
    assert not_worse(scores).tolist() == [True, False, False]


def test_the_best_is_always_among_them_and_equals_are_too():
    scores = np.random.default_rng(2).normal(size=(6, 3))
    assert not_worse(scores)[scores.mean(axis=1).argmin()]
    assert not_worse(np.ones((4, 2))).all()
    assert not_worse(np.ones((1, 2))).tolist() == [True]
