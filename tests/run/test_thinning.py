"""Which steps MLflow is given."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run.thinning import keeps

N = st.integers(1, 1000)


def kept(steps, per_decade, metric="train.loss", before=-1):
    return [before := step for step in steps if keeps(metric, step, before, per_decade)]


@given(per_decade=N, last=st.integers(1, 20_000))
def test_points_are_as_many_a_decade_as_asked_for_and_low_steps_are_whole(per_decade, last):
    found = kept(range(1, last + 1), per_decade)
    for low in (1, 10, 100, 1000):
        assert sum(low <= step < 10 * low for step in found) <= per_decade
    whole = math.floor(1 / (10 ** (1 / per_decade) - 1))  # up to here, neighbours are a bucket apart
    assert found[:whole] == list(range(1, last + 1))[:whole]
    ratio = 10 ** (1 / per_decade)
    assert all(after <= step * ratio + 1 for step, after in zip(found, [*found[1:], last], strict=True))


@given(per_decade=N, steps=st.sets(st.integers(0, 10**6), max_size=60), cut=st.integers(0, 60))
def test_the_points_do_not_depend_on_where_reading_was_broken_off(per_decade, steps, cut):
    """What a metric's highest step in MLflow says is enough to go on as if nothing had happened."""
    steps = sorted(steps)
    whole = kept(steps, per_decade)
    first = kept(steps[:cut], per_decade)
    before = first[-1] if first else -1
    assert first + kept(steps[cut:], per_decade, before=before) == whole
    assert first + kept(steps, per_decade, before=before) == whole, "nor on what is read twice"


@given(steps=st.sets(st.integers(0, 10**6), max_size=60), per_decade=N)
def test_validations_are_whole_and_so_is_everything_when_it_is_asked_for(steps, per_decade):
    steps = sorted(steps)
    for metric in ("validation.loss", "learning_rate", "share.cc.a.atoms", "structures_per_second"):
        assert kept(steps, per_decade, metric) == steps
    assert kept(steps, "all") == steps


def test_a_long_stage_has_some_hundred_points():
    found = kept(range(1, 300_001), 100)
    assert 400 < len(found) < 450
    assert {1, 10, 100, 1000, 10_000, 100_000} <= set(found)
