from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.reference import fit_offsets, freedom, offset_energy
from mfsweep.data.structures import Labels
from mfsweep.errors import DataError

MOLECULES = [([6, 1, 1, 1, 1], 3), ([8, 1, 1], 3), ([6, 8, 8], 3), ([7, 1, 1, 1], 2), ([6, 7, 1], 2)]


def _with_energy(structures, energy):
    return structures._replace(labels={"cc": Labels(energy, None)})


@given(st.lists(st.floats(-2000, 0), min_size=4, max_size=4))
def test_planted_offsets_are_recovered(make_structures, planted):
    structures = make_structures(MOLECULES)
    elements = (1, 6, 7, 8)
    everyone = np.arange(13)
    energy = structures.counts(everyone, elements) @ np.array(planted)
    offsets = fit_offsets(_with_energy(structures, energy), "cc", everyone)
    assert tuple(offsets) == elements
    np.testing.assert_allclose(list(offsets.values()), planted, atol=1e-8)
    np.testing.assert_allclose(offset_energy(structures, everyone, offsets), energy, atol=1e-8)


def test_what_is_left_is_free_of_the_zero_of_energy(make_structures):
    structures = make_structures(MOLECULES)
    everyone = np.arange(13)
    energy = structures.labels["cc"].energy
    moved = _with_energy(structures, energy + structures.counts(everyone, [1, 6, 7, 8]) @ [-10.0, 900.0, 7.0, 0.5])
    left, left_moved = (
        own.labels["cc"].energy - offset_energy(own, everyone, fit_offsets(own, "cc", everyone))
        for own in (structures, moved)
    )
    np.testing.assert_allclose(left, left_moved, atol=1e-9)


@pytest.mark.parametrize(
    ("molecules", "told"),
    [
        ([([6, 1, 1], 4), ([6, 6, 1, 1, 1, 1], 4)], "H +1, C -2"),
        ([([8, 1, 1], 9)], "H +1, O -2"),
        ([([6, 7, 1], 1), ([6, 1, 1], 1)], "H +1, C -2, N +1"),
        ([([13, 29], 3)], "Al +1, Cu -1"),
        ([([6, 7, 1], 5)], "H +1, N -1 and C +1, N -1"),
        (MOLECULES, ""),
    ],
)
def test_what_the_compositions_leave_open_is_told(make_structures, molecules, told):
    structures = make_structures(molecules)
    assert freedom(structures, np.arange(len(structures.formula))).shown == told


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any), min_size=1, max_size=4),
    st.lists(st.floats(-2000, 0), min_size=3, max_size=3),
)
def test_offsets_of_least_length_give_the_energies_whatever_the_compositions(make_structures, compositions, planted):
    structures = make_structures([(np.repeat([1, 6, 8], own), 2) for own in compositions])
    everyone = np.arange(len(structures.formula))
    energy = structures.counts(everyone, (1, 6, 8)) @ np.array(planted)
    offsets = fit_offsets(_with_energy(structures, energy), "cc", everyone)
    np.testing.assert_allclose(offset_energy(structures, everyone, offsets), energy, atol=1e-6)
    free = freedom(structures, everyone)
    assert len(free.directions) == len(offsets) - np.linalg.matrix_rank(structures.counts(everyone, tuple(offsets)))
    assert not free.open(structures, everyone).any()
    np.testing.assert_allclose(free.directions @ list(offsets.values()), 0.0, atol=1e-6)  # of least length


def test_structure_without_the_label_is_refused_by_name(make_structures):
    structures = make_structures(MOLECULES, {"cc": [4]})
    with pytest.raises(DataError, match="1 of 13 structures have no cc energy, the first is H2O, conformer 1"):
        fit_offsets(structures, "cc", np.arange(13))


def test_element_without_an_offset_is_refused_by_name(make_structures):
    structures = make_structures(MOLECULES)
    with pytest.raises(DataError, match=r"no energy offset for N, which H3N, conformer 0 .*fitted on H, C, O only"):
        offset_energy(structures, np.arange(13), {1: 0.0, 6: 0.0, 8: 0.0})
