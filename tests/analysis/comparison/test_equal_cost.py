"""Errors at equal cost are read off between what was measured, never beyond it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import compared

COSTS = st.floats(1, 1000)
CURVE = st.lists(st.tuples(COSTS, st.floats(1, 100)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({"direct": CURVE, "pretrain": CURVE, "multihead": CURVE}))
def test_nothing_is_said_beyond_what_was_measured(curves):
    blocks, _ = compared(curves)
    for block in blocks:
        cost = float(block.budget.split()[0])
        for row in block.rows:
            costs, errors = zip(*curves[row.strategy], strict=True)
            if row.members:
                assert min(costs) * 0.999 <= cost <= max(costs) * 1.001
                assert min(errors) * 0.999 <= row.error.value <= max(errors) * 1.001
            else:
                assert row.claim is None
                assert "only" in row.note


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 1.5), st.floats(2, 20), st.floats(2, 30), st.floats(1.2, 9))
def test_power_laws_come_out_exactly_whatever_their_ranges(exponent, shift, span, other):
    def law(scale, costs):
        return [(cost, scale * cost**-exponent) for cost in costs]

    direct = law(100, (1.0, span))
    blocks, notes = compared({"direct": direct, "pretrain": law(100 / other, (shift, shift * span))})
    if shift > span:
        assert not blocks
        assert "direct was measured from" in notes[0]
        assert "cannot be compared" in notes[0]
        return
    for block in blocks:
        row = next(row for row in block.rows if row.strategy == "pretrain")
        assert row.claim.estimate == pytest.approx(1 / other)
        cost = float(block.budget.split()[0])
        assert row.error.value == pytest.approx(100 / other * cost**-exponent, rel=1e-4)


def test_what_has_not_converged_is_no_part_of_a_curve():
    curves = {"direct": [(1, 50), (10, 20)], "pretrain": [(1, 40), (10, 10)]}
    blocks, _ = compared(curves, pretrain=(1,))
    claim = next(row.claim for row in blocks[0].rows if row.claim)
    assert (claim.replicates, claim.usable) == (2, True)
    assert compared(curves, pretrain=(0, 1, 2)) == ([], [])


def test_a_setting_that_costs_more_and_errs_more_is_no_part_of_a_curve():
    curves = {"direct": [(1, 50), (10, 20)], "pretrain": [(1, 40), (3, 90), (10, 10)]}
    blocks, _ = compared(curves)
    for block in blocks:
        row = next(row for row in block.rows if row.strategy == "pretrain")
        share = math.log(float(block.budget.split()[0])) / math.log(10)
        assert row.error.value == pytest.approx(40 ** (1 - share) * 10**share, rel=1e-4)
