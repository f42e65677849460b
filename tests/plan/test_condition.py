"""The condition of `--until`: what it may name, and what is said of one that names nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from mfsweep.errors import SpecError
from mfsweep.plan.condition import HALF_WIDTH, parse
from mfsweep.spec.load import load

WITHOUT = "resources:"
CLAIMED = """\
claims:
  gain: {says: x, y: result.test.cc.energy_mae, this: {pretrain_size: 40}, against: {pretrain_size: 0}, expect: lower}
resources:"""
CLAIM = (WITHOUT, CLAIMED)


@pytest.fixture
def spec(write_spec):
    return load(write_spec(CLAIM))


@given(
    target=some.floats(1e-6, 1e6),
    sign=some.sampled_from(["<", "<="]),
    spaces=some.lists(some.text(" \t", max_size=3), min_size=4, max_size=4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gradient_is_read_however_it_is_spaced(spec, target, sign, spaces):
    before, left, right, behind = spaces
    found = parse(f"{before}transfer.{HALF_WIDTH}{left}{sign}{right}{target!r}{behind}", spec)
    assert (found.fit, found.target) == ("transfer", target)


@pytest.mark.parametrize("text", ["budget.regret < 5 %", "budget.regret<5%", "budget.regret < 0.05"])
def test_a_regret_is_a_share(spec, text):
    found = parse(text, spec)
    assert found.fit is None
    assert found.target == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a condition like 'transfer.gradient.half_width < 0.1'"),
        ("transfer.gradient.half_width", "got no sign"),
        ("transfer.gradient.half_width > 0.1", "got '>'"),
        ("transfer.gradient.half_width < ", "got nothing behind '<'"),
        ("transfer.gradient.half_width < wide", "got 'wide'"),
        ("transfer.gradient.half_width < -0.1", "a number above 0"),
        ("transfer.gradient.half_width < nan", "a number above 0"),
        ("transfer.gradient.half_width < inf", "a number above 0"),
        ("transfer.gradient.half_width < 5 %", "has no unit"),
        ("transfer.gradient.half_width < 0.1 and more", "expected a condition like"),
        ("transfr.gradient.half_width < 0.1", "Did you mean 'transfer.gradient.half_width'?"),
        ("transfer.gradient.halfwidth < 0.1", "Did you mean 'transfer.gradient.half_width'?"),
        ("budget.regrets < 5 %", "Did you mean 'budget.regret'?"),
        ("transfer.prefactor.half_width < 0.1", "each group has its own"),
        ("gain.half_width < 0.1", "'gain' is a claim"),
        ("budget.regret < 5", "write `budget.regret < 5 %`"),
    ],
)
def test_what_is_no_condition_is_said_with_what_can_be_named(spec, text, said):
    with pytest.raises(SpecError) as error:
        parse(text, spec)
    assert said in str(error.value)
    assert str(error.value).startswith(f"--until {text!r}: ")


def test_without_a_fit_there_is_no_gradient(write_spec):
    spec = load(write_spec(CLAIM, ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", "")))  # fmt: skip
    with pytest.raises(SpecError, match="no `fits:`"):
        parse("transfer.gradient.half_width < 0.1", spec)
