from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data import rounding
from mfsweep.data.check import check
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.rounding import HARMLESS, float32_rounding
from mfsweep.data.survey.describe import describe
from mfsweep.data.survey.opening import open_file
from mfsweep.data.units import UNITS
from mfsweep.data.view import open_view
from mfsweep.spec.data import LabelKeys, Splits, Subset
from mfsweep.spec.stage import LabelledSet

totals = st.lists(st.floats(-3e4, -10.0), min_size=4, max_size=30, unique=True)


@given(totals, st.sampled_from(sorted(UNITS)), st.integers(1, 40))
def test_what_was_float32_in_any_unit_is_found_out_with_its_rounding(energies, unit, atoms):
    exact = np.array(energies)
    written = exact.astype(np.float32)
    sizes = np.full(len(written), atoms)
    found = float32_rounding(written.astype(np.float64) * UNITS[unit], sizes)
    error = 1000 * UNITS[unit] * np.abs(written - exact) / atoms
    if found is None:
        assert error.max() <= HARMLESS
    else:
        assert error.max() <= found.worst * (1 + 1e-6)
        assert found.worst > HARMLESS
        assert found.above >= (error > HARMLESS).sum()


@given(totals, st.sampled_from(sorted(UNITS)))
def test_energies_of_float64_are_left_in_peace(energies, unit):
    exact = np.array(energies) * (1 + 1e-12) + 1e-7 / 3
    if (np.abs(exact - exact.astype(np.float32)) > 1e-12 * np.abs(exact)).all():
        assert float32_rounding(exact * UNITS[unit], np.ones(len(exact), np.int64)) is None


def test_no_energies_are_not_rounded():
    assert float32_rounding(np.array([np.nan, np.nan]), np.array([3, 4])) is None
    assert float32_rounding(np.array([]), np.array([], np.int64)) is None


@pytest.fixture(params=[np.float32, np.float64])
def file(request, mini, tmp_path):
    """Return the bundled structures with cc energies of one type or the other, in float64 arrays."""
    path = tmp_path / "molecules.h5"
    path.write_bytes(mini.read_bytes())
    with h5py.File(path, "r+") as made:
        for group in made.values():
            key = "ccsd(t)_631gd.energy"
            energy = group[key][()].astype(request.param).astype(np.float64)
            del group[key]
            group[key] = energy
    return path, request.param is np.float32


KEYS = LabelKeys(energy="ccsd(t)_631gd.energy")


def test_whichever_door_they_come_through_it_is_said(file, resolved, make_training, tmp_path, monkeypatch):
    """At import, by `data info` of the file and of the data set, and by the check of a spec's source."""
    monkeypatch.setattr(rounding, "HARMLESS", 0.01)  # the bundled molecules are small
    path, is_rounded = file
    store = tmp_path / "own.h5"
    warnings = import_files([path], store, Rules({"cc": KEYS})).warnings
    assert any("cc: energies were stored as float32 (in hartree)" in text for text in warnings) is is_rounded
    for place, labels in ((path, [f"cc={KEYS.energy}"]), (store, [])):
        own = describe(open_file(str(place), labels).structures).methods["cc"]
        assert (own.rounding is not None) is is_rounded
    splits = Splits(a=Subset(size=60, validation=20, needs=("cc",)), t=Subset(size=60, needs=("cc",)))
    view = open_view({"": path}, resolved(splits, labels={"cc": KEYS}))
    training = make_training(view, LabelledSet(labels="cc", subset="a", probability=1.0))
    said = [text for text in check(view, [training], []) if "the cc energies were stored as float32" in text]
    assert bool(said) is is_rounded
