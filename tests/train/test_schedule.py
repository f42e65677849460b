from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mfsweep.spec.stage import Schedule
from mfsweep.train.schedule import Plateau, advance, head_reason


def walk(schedule, values, every=10):
    plateau, rates = Plateau(1.0), []
    for number, value in enumerate(values, 1):
        plateau = advance(plateau, schedule, number * every, value)
        rates.append(plateau.learning_rate)
        if plateau.converged:
            break
    return plateau, rates


def test_the_rate_drops_after_patience_and_the_count_begins_anew():
    schedule = Schedule(factor=0.5, patience_steps=20, stop_steps=1000)
    _, rates = walk(schedule, [5, 4, 4, 4, 4, 4, 3, 3, 3])
    assert rates == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_training_stops_after_stop_steps_without_a_better_value():
    schedule = Schedule(factor=0.5, patience_steps=500, stop_steps=30)
    plateau, rates = walk(schedule, [5, 4, 4, 4, 4, 4])
    assert plateau.converged
    assert len(rates) == 5


def test_an_equal_value_is_not_better():
    assert advance(Plateau(1.0, best=2.0, best_step=10), Schedule(), 20, 2.0).best_step == 10


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 80), st.integers(1, 200))
def test_the_best_value_and_its_step_are_always_kept(values, patience, stop):
    plateau, rates = walk(Schedule(patience_steps=patience, stop_steps=stop), values)
    seen = values[: len(rates)]
    assert plateau.best == min(seen)
    assert plateau.best_step == 10 * (seen.index(min(seen)) + 1)
    assert rates == sorted(rates, reverse=True)
    assert plateau.converged or len(rates) == len(values)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 80), st.integers(1, 200))
def test_a_head_that_the_schedule_follows_ends_as_its_stage(values, patience, stop):
    schedule = Schedule(patience_steps=patience, stop_steps=stop)
    plateau, rates = walk(schedule, values)
    reason = "converged" if plateau.converged else "max_steps"
    assert head_reason(reason, schedule, plateau.best_step, 10 * len(rates)) == reason


@given(st.integers(1, 500), st.integers(1, 80), st.integers(1, 200))
def test_a_head_is_improving_where_the_schedule_would_not_have_lowered_its_rate_yet(best_step, patience, stop):
    """Of a training that another value has stopped; one that max_steps stopped says nothing of its heads."""
    schedule = Schedule(patience_steps=patience, stop_steps=stop)
    for end in range(best_step, best_step + 100):
        alone = advance(Plateau(1.0, best=1.0, best_step=best_step), schedule, end, 1.0)
        still = alone.learning_rate == 1.0 and not alone.converged
        assert head_reason("converged", schedule, best_step, end) == ("improving" if still else "converged")
        assert head_reason("max_steps", schedule, best_step, end) == "max_steps"
