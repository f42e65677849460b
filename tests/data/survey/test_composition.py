from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.reference import fit_offsets, offset_energy
from mfsweep.data.survey.composition import composition, left


@pytest.mark.parametrize("method", ["cc", "dft", "xtb"])
def test_offsets_are_those_of_the_least_squares_over_structures(view, method):
    structures = view.structures
    energy = structures.labels[method].energy
    among = np.isfinite(energy)
    found = left(structures, composition(structures), energy, among)
    indices = np.flatnonzero(among)
    offsets = fit_offsets(structures, method, indices)
    assert found.determined
    assert found.offsets == pytest.approx(offsets, rel=1e-9)
    expected = (energy[indices] - offset_energy(structures, indices, offsets)) / structures.sizes[indices]
    np.testing.assert_allclose(found.per_atom[indices], expected, atol=1e-8)
    assert np.isnan(found.per_atom[~among]).all()


def test_what_is_left_is_there_where_the_offsets_are_not_determined(make_structures):
    structures = make_structures([([6, 1, 1, 1, 1], 3), ([6, 6] + [1] * 8, 2)])
    energy = np.array([-40.0, -41.0, -39.0, -80.0, -82.0])
    found = left(structures, composition(structures), energy, np.ones(5, np.bool_))
    assert not found.determined
    # both formulae are CH4 twice over: one number for each of its five atoms is all that a fit can take off
    per_atom = (energy @ structures.sizes) / (structures.sizes @ structures.sizes)
    np.testing.assert_allclose(found.per_atom, energy / structures.sizes - per_atom)


def test_composition_counts_what_the_structures_hold(view):
    structures = view.structures
    made_of = composition(structures)
    everyone = np.arange(len(structures.formula))
    assert made_of.elements == view.elements
    np.testing.assert_array_equal(made_of.counts[structures.formula], structures.counts(everyone, view.elements))
    np.testing.assert_array_equal(made_of.structures, np.bincount(structures.formula))
