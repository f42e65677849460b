from __future__ import annotations

import numpy as np
import pytest

from mfsweep.analysis.checks import checks
from mfsweep.analysis.gradient import RegressionSample


def sample(rng, law, *, sizes=6, replicates=3, noise=0.02):
    size = np.tile(np.linspace(3, 7, sizes), replicates)
    replicate = np.repeat(np.arange(replicates), sizes)
    x = 5 - 0.6 * size
    y = law(x) + 0.3 * rng.normal(size=replicates)[replicate] + noise * rng.normal(size=len(x))
    return RegressionSample(x, y, np.zeros(len(x), dtype=int), np.arange(len(x)), replicate, size)


def floor(x):
    return np.log(2.0 + np.exp(1.2 * x))


def test_a_floor_is_seen_as_curvature_and_by_aicc():
    found = checks(sample(np.random.default_rng(1), floor))
    assert found.curvature.p_value() < 0.01
    assert found.saturating < -2
    assert any("straight line is refused" in one for one in found.sentences())
    assert any("a + b x^m" in one for one in found.sentences())


def test_a_straight_line_is_not_curved_and_its_power_is_said():
    sharp = checks(sample(np.random.default_rng(2), lambda x: 1.2 * x))
    assert sharp.curvature.p_value() > 0.05
    assert sharp.saturating > 0
    assert sharp.power > 0.8
    assert sharp.sentences()[0].startswith("No curvature")
    coarse = checks(sample(np.random.default_rng(2), lambda x: 1.2 * x, sizes=3, noise=0.6))
    assert coarse.power < 0.3
    assert coarse.sentences()[0].startswith("Curvature cannot be seen here")


def test_the_test_of_curvature_is_wrong_in_a_twentieth_of_straight_laws():
    rng = np.random.default_rng(3)
    wrong = [checks(sample(rng, lambda x: x, sizes=4, noise=0.1)).curvature.p_value() < 0.05 for _ in range(200)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.04)


def test_a_size_left_out_is_predicted_as_well_as_the_noise_allows():
    exact = checks(sample(np.random.default_rng(4), lambda x: 1.2 * x, noise=0.0))
    assert exact.left_out == pytest.approx(0, abs=1e-9)
    noisy = checks(sample(np.random.default_rng(4), lambda x: 1.2 * x, noise=0.1, replicates=20))
    assert noisy.left_out == pytest.approx(0.11, abs=0.03)


def test_the_size_on_which_most_rests_is_found():
    one = sample(np.random.default_rng(5), lambda x: x, noise=0.0)
    bent = one._replace(y=one.y + 0.5 * (one.size == one.size.max()))
    size, without = checks(bent).influence
    assert size == pytest.approx(np.exp(7))
    assert without == pytest.approx(1.0)


def test_with_no_freedom_left_nothing_is_checked():
    assert checks(sample(np.random.default_rng(6), lambda x: x, sizes=3, replicates=1)) is None
