from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.analysis import regression
from mfsweep.analysis.regression import Sample


def design(rng, *, sizes=4, replicates=2, groups=2, gradient=1.35, x_noise=0.0, shared=0.0, own=0.0, nested=False):
    """Return points of several groups; `x_noise` and `shared` (of y) are common to the points of a cluster."""
    clusters = sizes * replicates * (groups if nested else 1)
    truth = np.tile(np.repeat(np.linspace(0, 2.3, sizes), replicates), groups if nested else 1)
    x = truth + x_noise * rng.normal(size=clusters)
    cluster = np.arange(clusters) if nested else np.tile(np.arange(clusters), groups)
    group = np.repeat(np.arange(groups), sizes * replicates)
    slope = np.broadcast_to(gradient, groups)[group]
    y = slope * truth[cluster] + (shared * rng.normal(size=clusters))[cluster] + own * rng.normal(size=len(cluster))
    return Sample(x[cluster], y - 0.7 * group, group, cluster)


def fitted(sample, rng, resamples=400):
    table = regression.sums(sample)
    clusters = table.shape[0]
    whole = regression.pooled(regression.moments(table, np.ones((1, clusters))))
    weights = regression.multiplicities(clusters, resamples, rng)
    error = regression.central_error(regression.slopes(regression.pooled(regression.moments(table, weights))))
    estimate = float(regression.slopes(whole)[0, 0])
    return estimate, regression.interval(estimate, error, clusters, 2)


def test_moments_of_a_resample_equal_those_of_the_repeated_points():
    rng = np.random.default_rng(3)
    sample = design(rng, own=0.3)
    weights = regression.multiplicities(8, 1, rng)
    got = regression.moments(regression.sums(sample), weights)
    repeated = np.repeat(np.arange(len(sample.x)), weights[0][sample.cluster].astype(int))
    for group in range(2):
        members = repeated[sample.group[repeated] == group]
        expected = np.cov(sample.x[members], sample.y[members], bias=True) * len(members)
        measured = np.array([got.xx[0, group], got.xy[0, group], got.yy[0, group]])
        np.testing.assert_allclose(measured, expected[[0, 0, 1], [0, 1, 1]], atol=1e-10)


def test_the_pooled_gradient_is_that_of_a_regression_with_dummies():
    sample = design(np.random.default_rng(4), own=0.3, gradient=(1.0, 1.6))
    columns = np.column_stack([sample.x, sample.group == 0, sample.group == 1]).astype(float)
    expected = np.linalg.lstsq(columns, sample.y)[0][0]
    assert fitted(sample, np.random.default_rng(0))[0] == pytest.approx(expected)


@given(ratio=st.floats(0.01, 100), seed=st.integers(0, 50))
def test_the_errors_in_variables_gradient_lies_between_the_two_regressions(ratio, seed):
    table = regression.sums(design(np.random.default_rng(seed), own=0.4, x_noise=0.2, groups=1))
    parts = regression.moments(table, np.ones((1, table.shape[0])))
    forward, backward = parts.xy / parts.xx, parts.yy / parts.xy
    assert forward - 1e-9 <= regression.deming(parts, ratio) <= backward + 1e-9


def test_errors_in_variables_undo_the_flattening_by_noise_in_x():
    rng = np.random.default_rng(5)
    sample = design(rng, sizes=50, replicates=40, groups=1, gradient=1.0, x_noise=0.5, own=0.5)
    table = regression.sums(sample)
    parts = regression.moments(table, np.ones((1, table.shape[0])))
    assert regression.slopes(parts)[0, 0] < 0.75
    assert regression.deming(parts, 1.0)[0, 0] == pytest.approx(1.0, abs=0.05)


def test_clustering_widens_the_interval_where_clusters_share_their_error():
    rng = np.random.default_rng(6)
    sample = design(rng, sizes=5, replicates=3, groups=5, shared=0.2, own=0.02)
    naive = sample._replace(cluster=np.arange(len(sample.x)))
    clustered = fitted(sample, rng)[1].half_width
    assert clustered > 1.7 * fitted(naive, rng)[1].half_width


def test_the_interval_of_a_mean_is_students():
    rng = np.random.default_rng(7)
    values = rng.normal(size=5)
    drawn = regression.multiplicities(5, 200_000, rng) @ values / 5
    got = regression.interval(values.mean(), drawn.std(), 5, 1)
    assert got.half_width == pytest.approx(2.776 * values.std(ddof=1) / np.sqrt(5), rel=0.01)


@pytest.mark.parametrize(
    ("sizes", "replicates", "groups"), [(3, 1, 2), (4, 1, 2), (5, 1, 5), (3, 2, 2), (4, 3, 1), (5, 3, 5)]
)
def test_intervals_hold_the_true_gradient_as_often_as_they_say(sizes, replicates, groups):
    rng = np.random.default_rng(sizes * 100 + replicates * 10 + groups)
    shape = {"sizes": sizes, "replicates": replicates, "groups": groups}
    held = []
    for _ in range(300):
        low, high = fitted(design(rng, x_noise=0.05, shared=0.05, own=0.05, **shape), rng)[1]
        held.append(low <= 1.35 <= high)
    assert np.mean(held) >= 0.91


@pytest.mark.parametrize("nested", [False, True])
def test_equal_gradients_are_rarely_told_apart_and_unequal_ones_are(nested):
    rng = np.random.default_rng(8)
    noise = {"sizes": 4, "replicates": 3, "x_noise": 0.05, "shared": 0.05, "own": 0.05, "nested": nested}
    equal = [regression.equal_gradients(design(rng, **noise), 199, rng).p_value for _ in range(150)]
    assert np.mean(np.array(equal) <= 0.05) <= 0.11
    unequal = [regression.equal_gradients(design(rng, gradient=(1.35, 0.9), **noise), 199, rng) for _ in range(20)]
    assert np.mean([test.p_value <= 0.05 for test in unequal]) >= 0.9
