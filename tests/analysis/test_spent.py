"""What trained stages have cost, by records that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.analysis.spent import SPENT_HEAD, CostRates, spent, spent_by_cell, spent_by_law, spent_in_all
from mfsweep.records import Machine
from mfsweep.usage_record import UsageRecord

GPU = Machine(device="cuda", name="H200", threads=1)


def record(key="k", *, parent=None, seconds=3600.0, workers=1, joules=None, source="nvml"):
    usage = None if joules is None else UsageRecord(seconds=seconds * workers, joules=joules, source=source)
    hours = seconds * workers / 3600
    return SimpleNamespace(key=key, parent=parent, device_hours=hours, machines=[GPU], usage=usage)


class Records:
    """Stands for the records of a study."""

    def __init__(self, *records):
        self._records = {one.key: one for one in records}

    def stage(self, key):
        return SimpleNamespace(record=self._records[key]) if key in self._records else None


def test_hours_energy_price_and_carbon():
    found = spent([record(workers=4, joules=3.6e6), record(seconds=1800.0)], CostRates(price=2.0, grams=400.0))
    assert found.hours == {"H200": 4.5}
    assert (found.kwh, found.metered, found.price, found.kilograms) == (1.0, 4.0, 9.0, 0.4)
    assert found.sentence("It") == (
        "It took 4.50 hours of H200, 9.00 at 2 an hour; 1 kWh (0.4 kg CO2 at 400 g/kWh), "
        "measured in 4.00 of 4.50 device-hours"
    )
    assert len(found.fields()) == len(SPENT_HEAD)


def test_what_was_not_measured_is_not_told():
    found = spent([record()], CostRates(grams=400.0))
    assert (found.kwh, found.price, found.kilograms, found.energy) == (None, None, None, "")
    assert found.as_json()["kwh"] is None
    assert spent([]).sentence("It") == "It took nothing"


def test_energy_of_whole_machines_is_said_to_be_that():
    assert "of whole machines" in spent([record(joules=1.0, source="rapl")]).energy
    assert "of whole machines" not in spent([record(joules=1.0)]).energy


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 8), st.none() | st.floats(0, 1e9)), max_size=10))
def test_parts_of_distinct_stages_add_up(stages):
    made = [record(str(n), seconds=s, workers=w, joules=j) for n, (s, w, j) in enumerate(stages)]
    whole = spent(made)
    assert whole.all_hours == pytest.approx(sum(spent([one]).all_hours for one in made))
    known = [spent([one]).kwh for one in made if one.usage]
    assert (whole.kwh or 0.0) == pytest.approx(sum(known))
    assert (whole.kwh is None) is (not known)


def test_a_shared_stage_counts_once_in_each_cell_and_law_and_once_in_all():
    records = Records(record("base"), record("one", parent="base"), record("two", parent="base"))
    cells = [
        SimpleNamespace(stages={"pretrain": "base", "finetune": key}, values={}) for key in ("one", "two", "missing")
    ]
    assert spent_in_all(records, cells, CostRates()).stages == 3
    assert [own.stages for _, own in spent_by_cell(records, cells, CostRates())] == [2, 2, 1]
    points = [SimpleNamespace(x_key="one", y_key="one"), SimpleNamespace(x_key="base", y_key="two")]
    laws = [SimpleNamespace(name="all", points=points), SimpleNamespace(name="one", points=points[:1])]
    found = spent_by_law(records, laws, CostRates())
    assert {name: own.stages for name, own in found.items()} == {"all": 3, "one": 2}
