from __future__ import annotations

import math

import pytest

from mfsweep.analysis.reml import Estimate
from mfsweep.analysis.verdicts import Statement, needed, p_value, verdict

MANY = 1e9
"""Degrees of freedom of a normal distribution: half-widths are 1.96 and 1.645 errors."""


@pytest.mark.parametrize(
    ("value", "error", "statement", "told"),
    [
        (-0.5, 0.2, Statement("lower"), "agree"),
        (-0.5, 0.3, Statement("lower"), "cannot tell"),
        (0.5, 0.2, Statement("lower"), "disagree"),
        (0.5, 0.2, Statement("higher"), "agree"),
        (-0.5, 0.2, Statement("higher"), "disagree"),
        (-0.2, 0.05, Statement("at_most", -0.05), "agree"),
        (-0.2, 0.05, Statement("at_most", -0.12), "cannot tell"),
        (-0.2, 0.05, Statement("at_most", -0.4), "disagree"),
        (-0.2, 0.05, Statement("at_least", -0.4), "agree"),
        (-0.2, 0.05, Statement("at_least", -0.05), "disagree"),
        (0.0, 0.057, Statement("equal", 0.1), "agree"),  # the 90 % interval is inside, the 95 % one is not
        (0.0, 0.062, Statement("equal", 0.1), "cannot tell"),
        (0.3, 0.05, Statement("equal", 0.1), "disagree"),
        (0.2, 0.09, Statement("equal", 0.1), "cannot tell"),
        (-1.9, 0.1, Statement("value", -1.8), "agree"),
        (-1.9, 1.1, Statement("value", -1.8), "cannot tell"),  # no effect is not excluded
        (-0.1, 0.03, Statement("value", -1.8), "disagree"),
    ],
)
def test_a_verdict_follows_from_the_intervals_and_is_mirrored(value, error, statement, told):
    assert verdict(Estimate(value, error, MANY), statement) == told
    other = {"lower": "higher", "higher": "lower", "at_most": "at_least", "at_least": "at_most"}
    stated = statement.stated if statement.expect == "equal" else -statement.stated
    mirrored = Statement(other.get(statement.expect, statement.expect), stated)
    assert verdict(Estimate(-value, error, MANY), mirrored) == told


def test_without_an_error_nothing_can_be_told():
    assert verdict(Estimate(-3.0, math.nan, 0), Statement("lower")) == "cannot tell"
    assert verdict(Estimate(-3.0, math.inf, 4), Statement("lower")) == "cannot tell"


@pytest.mark.parametrize("value", [-0.3, -0.05, 0.0, 0.08, 0.4])
@pytest.mark.parametrize(
    "statement",
    [Statement("lower"), Statement("at_most", 0.1), Statement("equal", 0.1), Statement("value", 0.35)],
)
def test_the_p_value_is_below_a_twentieth_where_the_verdict_is_told(value, statement):
    for error in (0.01, 0.04, 0.1, 0.3):
        found = Estimate(value, error, 7)
        told, small = verdict(found, statement), p_value(found, statement) < 0.05
        assert small == (told == "agree" if statement.expect == "equal" else told != "cannot tell")


@pytest.mark.parametrize(
    ("statement", "value", "replicates"),
    [
        (Statement("lower"), math.log(0.85), 21),
        (Statement("lower"), math.log(0.5), 4),
        (Statement("value", math.log(0.15)), 0.0, 3),
        (Statement("equal", math.log(1.2)), 0.3, 19),
    ],
)
def test_replicates_for_a_power_of_80_percent_at_the_spread_of_the_bundled_data(statement, value, replicates):
    found = Estimate(value, 0.25 / math.sqrt(3), 2)
    assert needed(found, statement, 3) == pytest.approx(replicates, abs=1)


def test_borrowed_degrees_of_freedom_spare_replicates_and_no_effect_needs_more_than_can_be_counted():
    found = Estimate(math.log(0.5), 0.25 / math.sqrt(3), 2)
    assert needed(found, Statement("lower"), 3, borrowed=40) == 2
    assert needed(found._replace(value=0.001), Statement("lower"), 3) is None
