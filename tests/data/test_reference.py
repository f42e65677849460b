from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.reference import fit_offsets, offset_energy
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
    ("molecules", "message"),
    [
        (
            [([6, 1, 1], 4), ([6, 6, 1, 1, 1, 1], 4)],
            r"8 structures \(2 formulae: .* fix only 1 of the 2 offsets \(H, C\)",
        ),
        ([([8, 1, 1], 9)], r"9 structures \(1 formulae: H2O\) fix only 1 of the 2 offsets \(H, O\)"),
        ([([6, 7, 1], 1), ([6, 1, 1], 1)], r"fix only 2 of the 3 offsets \(H, C, N\)"),
    ],
)
def test_counts_that_do_not_determine_the_offsets_are_refused(make_structures, molecules, message):
    structures = make_structures(molecules)
    with pytest.raises(DataError, match=message):
        fit_offsets(structures, "cc", np.arange(len(structures.formula)))


def test_structure_without_the_label_is_refused_by_name(make_structures):
    structures = make_structures(MOLECULES, {"cc": [4]})
    with pytest.raises(DataError, match="1 of 13 structures have no cc energy, the first is H2O, conformer 1"):
        fit_offsets(structures, "cc", np.arange(13))


def test_element_without_an_offset_is_refused_by_name(make_structures):
    structures = make_structures(MOLECULES)
    with pytest.raises(DataError, match=r"no energy offset for N, which H3N, conformer 0 .*fitted on H, C, O only"):
        offset_energy(structures, np.arange(13), {1: 0.0, 6: 0.0, 8: 0.0})
