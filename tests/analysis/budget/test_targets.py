from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.analysis.budget.costs import CORE_TIME, Prices
from mfsweep.analysis.budget.targets import KINDS, Target
from mfsweep.errors import FitError
from mfsweep.quantities import Quantity


@given(st.sampled_from(sorted(KINDS)), st.floats(1e-6, 1e6), st.sampled_from(["", " "]))
def test_a_target_is_read_in_any_unit(unit, number, space):
    found = Target.parse(f"cc={number!r}{space}{unit}")
    quantity, size = KINDS[unit]
    assert (found.method, found.quantity) == ("cc", quantity)
    assert found.value == pytest.approx(number * size)
    assert found.path == f"result.test.cc.{quantity}"


def test_a_kilocalorie_is_of_a_mole_of_molecules():
    assert Target.parse("cc=1kcal/mol")[:3] == ("cc", Quantity.ENERGY_MAE_MOLECULE, pytest.approx(43.364, abs=1e-3))
    assert Target.parse("cc=10 meV/atom")[:3] == ("cc", Quantity.ENERGY_MAE, pytest.approx(10))
    assert Target.parse("dft=0.05 eV/Å")[:3] == ("dft", Quantity.FORCE_MAE, pytest.approx(50))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cc", "expected METHOD=NUMBER and a unit"),
        ("cc=", "expected METHOD=NUMBER and a unit"),
        ("cc=1", "unit ''"),
        ("cc=1 kcal/mole", "unit 'kcal/mole'.*Did you mean 'kcal/mol'"),
        ("cc=0kcal/mol", "a number above 0, got '0'"),
        ("cc=-2 meV/atom", "a number above 0, got '-2'"),
        ("cc=1e999 eV", "a number above 0"),
        ("cc=1-2 eV", "a number above 0, got '1-2'"),
    ],
)
def test_a_target_that_is_none_is_refused(text, said):
    with pytest.raises(FitError, match=said):
        Target.parse(text)


@given(st.sampled_from(sorted(CORE_TIME)), st.sampled_from(sorted(CORE_TIME)), st.floats(1e-3, 1e3))
def test_computing_time_is_the_same_in_any_unit(one, other, cost):
    prices = Prices({"cc": cost}, one, hour=cost)
    there = prices.at(other)
    assert there.at(one).labels["cc"] == pytest.approx(cost)
    assert there.labels["cc"] * CORE_TIME[other] == pytest.approx(cost * CORE_TIME[one])
    assert there.hour == pytest.approx(there.labels["cc"])
    assert Prices({}, other).of_hour("cpu") == pytest.approx(3600 / CORE_TIME[other])


def test_a_currency_is_not_turned_into_time():
    with pytest.raises(FitError, match=r"--unit core-hours: the costs of labels are in EUR \(given\)"):
        Prices({"cc": 1.0}, "EUR").at("core-hours")
    assert Prices({"cc": 1.0}, "EUR").of_hour("cpu") is None
