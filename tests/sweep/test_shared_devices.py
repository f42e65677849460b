"""A stage that held a part of a device is counted with that part, wherever hours are told or paid for."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import strategies

import mfsweep
from mfsweep.prepare import prepare
from mfsweep.sweep.compare import compare
from mfsweep.sweep.prices import prices
from mfsweep.sweep.standing import standing


def told(spec, store):
    """Return all hours and seconds of training that a sweep tells."""
    plan = prepare(spec, store)
    advice = mfsweep.Sweep(str(spec), str(store)).budget(unit="core-hours", costs=dict.fromkeys(("cc", "dft"), 1e-15))
    return {
        "status": list(standing(plan).spent.values()),
        "fit": [standing(plan).trained.all_hours],
        "prices": list(prices(plan).of.values()),
        "compare": [row.seconds for block in compare([plan]).blocks for row in block.rows if block.basis == "labels"],
        "budget": [one.cost for one in advice.decision.trained],
    }


def test_a_quarter_of_a_device_is_a_quarter_of_its_hours(tmp_path):
    plan = strategies.trained(tmp_path)
    parts = tmp_path / "parts"
    shutil.copytree(plan.store.root, parts)
    for folder in type(plan.store)(parts).stages():
        folder.write_record(folder.record().model_copy(update={"device_share": 0.25}))
    spec = plan.spec.document.path
    whole, part = told(spec, plan.store.root), told(spec, parts)
    for name, hours in whole.items():
        assert min(hours) > 0, name
        assert 4 * np.array(part[name]) == pytest.approx(np.array(hours)), name
