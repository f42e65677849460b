"""How long what is left takes: stages side by side, and the spread of what they may take."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.plan.left import StageToCome, left, makespan


@st.composite
def forests(draw):
    """Draw stages with parents before children, their seconds, and places."""
    size = draw(st.integers(1, 12))
    tasks = {}
    for number in range(size):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        tasks[str(number)] = StageToCome(None if parent is None else str(parent), "kind", draw(st.floats(1, 100)))
    return tasks, draw(st.integers(1, 5))


def longest_chain(tasks):
    ends = {}
    for key, task in tasks.items():
        ends[key] = ends.get(task.parent, 0.0) + task.seconds
    return max(ends.values())


@settings(deadline=None)
@given(forests())
def test_stages_take_no_less_than_their_chain_and_their_share_and_no_more_than_one_after_another(case):
    tasks, places = case
    total = sum(task.seconds for task in tasks.values())
    found = makespan(tasks, lambda key: tasks[key].seconds, places)
    assert found >= max(longest_chain(tasks), total / places) * (1 - 1e-9)
    assert found <= total * (1 + 1e-9)
    assert makespan(tasks, lambda key: tasks[key].seconds, 1) == pytest.approx(total)
    assert makespan(tasks, lambda key: tasks[key].seconds, len(tasks)) == pytest.approx(longest_chain(tasks))


def test_equal_ratios_leave_no_doubt_and_scale_the_estimate():
    tasks = {
        "a": StageToCome(None, "x", 10.0),
        "b": StageToCome("a", "y", 10.0, left=0.5),
        "c": StageToCome(None, "x", 10.0),
    }
    found = left(tasks, {"x": [2.0, 2.0], "y": [4.0, 4.0]}, 1)
    assert found == (60.0, pytest.approx(60.0), pytest.approx(60.0), 60.0)
    assert left(tasks, {"x": [2.0, 2.0], "y": [4.0, 4.0]}, 2).seconds == 40.0


def test_a_kind_that_no_stage_has_finished_goes_by_all_others():
    assert left({"a": StageToCome(None, "new", 10.0)}, {"x": [3.0]}, 1).seconds == 30.0
    assert left({"a": StageToCome(None, "new", 10.0)}, {}, 1) is None
    assert left({}, {}, 1).seconds == 0.0


def test_one_finished_stage_tells_no_spread():
    found = left({"a": StageToCome(None, "x", 10.0)}, {"x": [3.0]}, 1)
    assert (found.low, found.high) == (None, None)


def test_the_bounds_hold_what_comes_about_as_often_as_they_say():
    """Stages whose ratios are drawn like those of the finished ones: their sum lies within the bounds."""
    import numpy as np

    random = np.random.default_rng(1)
    within = 0
    for _ in range(100):
        done, coming = np.exp(random.normal(0, 0.4, 12)), np.exp(random.normal(0, 0.4, 8))
        found = left({str(n): StageToCome(None, "x", 1.0) for n in range(8)}, {"x": done.tolist()}, 1)
        within += found.low <= coming.sum() <= found.high
    assert 65 <= within <= 92


def test_more_places_never_take_longer_where_nothing_waits_for_a_parent():
    tasks = {str(number): StageToCome(None, "x", float(1 + number % 4)) for number in range(20)}
    ends = [left(tasks, {"x": [1.0, 1.0]}, places).seconds for places in range(1, 21)]
    assert all(more <= fewer for fewer, more in itertools.pairwise(ends))


def test_workers_share_the_seconds_of_their_own_stage():
    tasks = {"a": StageToCome(None, "x", 40.0, workers=4), "b": StageToCome("a", "x", 10.0)}
    assert left(tasks, {"x": [1.0, 1.0]}, 1) == (20.0, pytest.approx(20.0), pytest.approx(20.0), 50.0)
