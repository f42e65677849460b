"""How near methods are to a target, on energies that are planted."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from synthetic import CC, DFT, write

from mfsweep.data import ani1x
from mfsweep.data.hdf5 import pairs
from mfsweep.data.reading import read
from mfsweep.data.survey.alignment import alignment
from mfsweep.data.survey.composition import composition
from mfsweep.data.units import HARTREE


def opened(path, change=None):
    """Return the structures of a file, the energies of its groups changed by `change(numbers, dft, rng)`."""
    write(path, 400, formulae=40)
    if change:
        rng = np.random.default_rng(1)
        with h5py.File(path, "a") as file:
            for group in file.values():
                group[f"{CC}.energy"][...] = change(group["atomic_numbers"][()], group[f"{DFT}.energy"][()], rng)
    structures = read({"": path}, pairs(ani1x.keys(path)))
    return structures, alignment(structures, composition(structures), CC, DFT)


def test_methods_that_differ_by_a_number_for_each_element_are_as_one(tmp_path):
    def shifted(numbers, dft, _):
        return dft + 0.1 * (numbers == 1).sum() - 3 * (numbers == 6).sum()

    _, found = opened(tmp_path / "own.h5", shifted)
    assert found.mean_abs == pytest.approx(0, abs=1e-6)
    assert (found.pearson, found.pearson_within) == (pytest.approx(1), pytest.approx(1))
    assert found.left == pytest.approx(0, abs=1e-6)
    assert found.structures == 400
    assert found.formulae == 40


def test_noise_is_found_between_conformers_and_a_formula_that_stands_apart_is_named(tmp_path):
    def noisy(numbers, dft, rng):
        noise = rng.normal(scale=1e-3 * len(numbers), size=len(dft))
        odd = sorted(numbers.tolist()) == [1, 1, 1, 1, 6]
        return dft + noise + (0.5 if odd else 0.0)

    structures, found = opened(tmp_path / "own.h5", noisy)
    per_atom = 1e3 * HARTREE * 1e-3
    numbers = np.bincount(structures.formula)
    expected = per_atom * np.sqrt(1 - (numbers > 1).sum() / numbers[numbers > 1].sum())
    assert found.within == pytest.approx(expected, rel=0.15)
    if "CH4" in structures.formulae:
        assert found.worst[0].formula == "CH4"
    assert found.worst == tuple(sorted(found.worst, key=lambda one: -one.mean_abs))


def test_methods_on_different_structures_have_no_alignment(tmp_path):
    _, found = opened(tmp_path / "own.h5", lambda _, dft, _rng: np.full(len(dft), np.nan))
    assert found is None
