from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis.gradient import RegressionSample, freedom, gradient, instrument, level


def sample(
    rng, *, sizes=4, replicates=3, groups=2, value=1.3, x_noise=0.1, levels=0.3, shared=0.05, own=0.05, slopes=0.0
):
    """Return a balanced sample; `levels` are of replicates, `shared` of pre-trainings, `slopes` of gradients."""
    size = np.tile(np.linspace(3, 6, sizes), replicates)
    replicate = np.repeat(np.arange(replicates), sizes)
    truth = 4 - 0.5 * size
    x = truth + x_noise * rng.normal(size=len(size))
    slope = value + slopes * rng.normal(size=replicates)[replicate]
    base = slope * truth + levels * rng.normal(size=replicates)[replicate] + shared * rng.normal(size=len(size))
    cluster = np.tile(np.arange(len(size)), groups)
    group = np.repeat(np.arange(groups), len(size))
    y = base[cluster] - 0.4 * group + own * rng.normal(size=len(cluster))
    return RegressionSample(x[cluster], y, group, cluster, replicate[cluster], size[cluster])


def test_one_replicate_and_one_group_are_an_ordinary_regression():
    one = sample(np.random.default_rng(1), replicates=1, groups=1, sizes=6)
    expected = stats.linregress(one.x, one.y)
    found = gradient(one)
    assert (found.value, found.error, found.freedom) == pytest.approx((expected.slope, expected.stderr, 4))
    assert found.p_value() == pytest.approx(expected.pvalue)
    half = expected.stderr * stats.t.ppf(0.975, 4)
    assert found.interval() == pytest.approx((expected.slope - half, expected.slope + half))


@pytest.mark.parametrize("seed", [0, 3, 4, 9, 11])
def test_in_a_balanced_design_the_interval_is_fiellers_on_the_means_of_pretrainings(seed):
    one = sample(np.random.default_rng(seed), slopes=0.0)
    found = gradient(one, one.size)
    assert not found.own_slopes, "a draw whose gradients do not differ between replicates by chance"
    x, y, z = (np.array([values[one.cluster == k].mean() for k in range(12)]) for values in (one.x, one.y, one.size))
    blocks = np.eye(3)[np.repeat(np.arange(3), 4)]
    left = np.eye(12) - blocks @ np.linalg.pinv(blocks)
    z = left @ z
    free = 12 - 3 - 1

    def t_of(value):
        w = left @ (y - value * x)
        slope = z @ w / (z @ z)
        rest = w - slope * z
        return slope / np.sqrt(rest @ rest / free / (z @ z))

    assert found.freedom == pytest.approx(free)
    assert found.value == pytest.approx(z @ y / (z @ x))
    for end in found.interval():
        assert abs(t_of(end)) == pytest.approx(stats.t.ppf(0.975, free), rel=1e-5)
        assert found.p_value(end) == pytest.approx(0.05, rel=1e-4)


def test_sizes_undo_the_flattening_by_noise_in_x():
    one = sample(np.random.default_rng(5), sizes=25, replicates=16, groups=1, value=1.0, x_noise=0.5)
    assert gradient(one).value < 0.75
    assert gradient(one, one.size).value == pytest.approx(1.0, abs=0.08)


def test_points_of_one_pretraining_tell_no_more_than_one():
    one = sample(np.random.default_rng(6), groups=1, own=0.0)
    copies = [np.tile(values, 4) for values in (one.x, one.y, one.cluster, one.replicate, one.size)]
    x, y, cluster, replicate, size = copies
    many = RegressionSample(
        x,
        y + 1e-6 * np.random.default_rng(0).normal(size=len(y)),
        np.repeat(np.arange(4), 12),
        cluster,
        replicate,
        size,
    )
    assert freedom(many) == freedom(one)
    assert gradient(many, many.size).error == pytest.approx(gradient(one, one.size).error, rel=1e-2)


def test_a_level_that_a_replicate_shares_is_no_error_of_the_gradient():
    easy, hard = (sample(np.random.default_rng(7), levels=levels) for levels in (0.0, 50.0))
    assert gradient(hard, hard.size).error == pytest.approx(gradient(easy, easy.size).error, rel=1e-6)


def test_gradients_that_differ_between_replicates_widen_the_interval_to_theirs():
    one = sample(np.random.default_rng(8), replicates=5, slopes=0.5, x_noise=0.01, shared=0.01, own=0.01)
    found = gradient(one, one.size)
    assert found.own_slopes
    assert found.freedom == pytest.approx(4, rel=0.05)
    own = []
    for replicate in range(5):
        z = one.size - one.size.mean()
        mine = one.replicate == replicate
        own.append(z[mine] @ one.y[mine] / (z[mine] @ one.x[mine]))
    assert found.error == pytest.approx(stats.sem(own), rel=0.05)


def test_sizes_that_x_does_not_follow_give_an_interval_without_bounds():
    rng = np.random.default_rng(9)
    one = sample(rng, groups=1, replicates=2)
    lost = one._replace(x=one.x[rng.permutation(len(one.x))])
    assert not gradient(lost, rng.normal(size=len(lost.x))).interval().bounded


def test_what_has_no_three_sizes_has_no_instrument():
    one = sample(np.random.default_rng(10))
    assert instrument(one) is not None
    assert instrument(one._replace(size=None)) is None
    assert instrument(one._replace(size=np.where(one.size > 4, 5.0, 4.0))) is None


def test_points_on_a_line_have_no_error():
    one = sample(np.random.default_rng(11), x_noise=0, shared=0, own=0)
    for z in (None, one.size):
        assert gradient(one, z).interval() == pytest.approx((1.3, 1.3))


def test_a_band_holds_the_line_and_a_new_pretraining_as_often_as_it_says():
    rng = np.random.default_rng(12)
    at = np.array([1.2, 1.75, 2.3])
    held, held_new = [], []
    for _ in range(150):
        one = sample(rng, groups=1, replicates=4)
        found = level(one, gradient(one, one.size), at, one.size)
        held.append(np.abs(found.middle - 1.3 * at) <= found.half)
        new = 1.3 * at + 0.3 * rng.normal() + np.hypot(0.05, 0.05) * rng.normal(size=3) - 1.3 * 0.1 * rng.normal(size=3)
        held_new.append(np.abs(found.middle - new) <= found.half_new)
    assert np.mean(held, axis=0) == pytest.approx(0.95, abs=0.05)
    assert np.mean(held_new, axis=0) == pytest.approx(0.95, abs=0.05)
