from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.survey import blocks
from mfsweep.data.survey.duplicates import RESOLUTION, duplicates, leaks, structure_hashes

WATER, METHANE = [8, 1, 1], [6, 1, 1, 1, 1]


@pytest.fixture
def molecules(make_structures):
    return make_structures([(WATER, 4), (METHANE, 3)])


def copied(structures, onto, of, shift=0.0):
    """Give a structure the coordinates of another one of its size."""
    positions = structures.positions.copy()
    positions[structures.atoms_of(np.array([onto]))] = positions[structures.atoms_of(np.array([of]))] + shift
    return structures._replace(positions=positions)


def test_a_copy_is_found_with_the_first_of_its_kind(molecules):
    twice = copied(copied(molecules, 2, of=1), 3, of=1)
    pairs = duplicates(structure_hashes(twice))
    assert (pairs.first.tolist(), pairs.other.tolist()) == ([1, 1], [2, 3])
    assert not len(duplicates(structure_hashes(molecules)).other)


@pytest.mark.parametrize(("shift", "same"), [(1e-9, True), (2 * RESOLUTION, False)])
def test_coordinates_count_to_the_resolution(molecules, shift, same):
    rounded = molecules._replace(positions=np.round(molecules.positions, 2))
    assert bool(len(duplicates(structure_hashes(copied(rounded, 2, of=1, shift=shift))).other)) is same


def test_species_and_order_and_cell_count(molecules):
    twice = copied(molecules, 1, of=0)
    other = twice.species.copy()
    other[3] = 9
    assert not len(duplicates(structure_hashes(twice._replace(species=other))).other)
    turned = twice.positions.copy()
    turned[[3, 4]] = turned[[4, 3]]
    assert not len(duplicates(structure_hashes(twice._replace(positions=turned))).other)
    cell = np.tile(5 * np.eye(3), (7, 1, 1))
    periodic = twice._replace(cell=cell, pbc=np.ones((7, 3), np.bool_))
    assert len(duplicates(structure_hashes(periodic)).other) == 1
    wider = cell.copy()
    wider[1] *= 1.1
    assert not len(duplicates(structure_hashes(periodic._replace(cell=wider))).other)


def test_negative_zero_is_zero(molecules):
    zero = molecules._replace(positions=np.zeros_like(molecules.positions))
    signed = molecules._replace(positions=-np.zeros_like(molecules.positions))
    np.testing.assert_array_equal(structure_hashes(zero), structure_hashes(signed))


def test_hashes_do_not_depend_on_the_blocks(view, monkeypatch):
    whole = structure_hashes(view.structures)
    monkeypatch.setattr(blocks, "ATOMS_AT_ONCE", 11)
    np.testing.assert_array_equal(structure_hashes(view.structures), whole)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_leaks_are_what_two_parts_have_in_common(values, data):
    hashes = np.array(values, np.uint64)
    owner = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(values), max_size=len(values))))
    parts = {name: np.flatnonzero(owner == number) for number, name in enumerate("abc") if (owner == number).any()}
    found = {leak.parts: leak.pairs for leak in leaks(hashes, parts)}
    for one in parts:
        for other in parts:
            shared = set(hashes[parts[one]].tolist()) & set(hashes[parts[other]].tolist())
            if one < other:
                assert ((one, other) in found) == bool(shared)
    for (one, other), pairs in found.items():
        assert set(pairs.first.tolist()) <= set(parts[one].tolist())
        np.testing.assert_array_equal(hashes[pairs.first], hashes[pairs.other])
        shared = np.isin(hashes[parts[other]], hashes[parts[one]])
        np.testing.assert_array_equal(pairs.other, parts[other][shared])
