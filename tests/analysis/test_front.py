import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mfsweep.analysis.front import front, not_behind

MEANS = arrays(float, st.tuples(st.just(2), st.integers(1, 8)), elements=st.integers(0, 5).map(float))


@given(MEANS)
def test_the_front_is_what_nothing_beats(means):
    kept = front(means)
    assert kept.any()
    for place in range(means.shape[1]):
        beaten = any(
            (means[:, other] <= means[:, place]).all() and (means[:, other] < means[:, place]).any()
            for other in range(means.shape[1])
        )
        assert kept[place] == (not beaten)


@settings(deadline=None)  # the critical value of a new number of points takes a moment
@given(MEANS, st.integers(0, 99))
def test_what_is_on_the_front_of_the_means_is_never_behind(means, seed):
    scores = means[:, :, None] + np.random.default_rng(seed).normal(size=(*means.shape, 3))
    assert (not_behind(scores) | ~front(scores.mean(axis=2))).all()


@pytest.mark.parametrize(("points", "seeds"), [(6, 2), (10, 3)])
def test_the_true_front_is_kept_whole_as_often_as_it_says(points, seeds):
    rng = np.random.default_rng(0)
    held, draws = 0, 300
    for _ in range(draws):
        truth = 0.2 * rng.normal(size=(2, points))
        noise = 0.25 * rng.normal(size=(2, 1, seeds)) + 0.1 * rng.normal(size=(2, points, seeds))
        held += not_behind(np.exp(truth[:, :, None] + noise))[front(truth)].all()
    assert held / draws > 0.93
