from __future__ import annotations

import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.formula import Formula
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.structures import SYMBOLS, hill_formula


def test_symbols_are_the_periodic_table():
    assert list(chemical_symbols) == SYMBOLS


@given(st.lists(st.integers(1, 118), max_size=20))
def test_formula_with_carbon_is_in_hill_order(others):
    numbers = [*others, 6]
    expected = Formula.from_list([chemical_symbols[z] for z in numbers]).format("hill")
    assert hill_formula(numbers) == expected


@pytest.mark.parametrize(("numbers", "formula"), [([8, 1, 1], "H2O"), ([1, 35], "BrH"), ([1, 7, 1, 1], "H3N")])
def test_formula_without_carbon_is_alphabetical(numbers, formula):
    # ASE puts hydrogen first here, which Hill did not.
    assert hill_formula(numbers) == formula


def test_counts_and_elements_of_some_structures(make_structures):
    structures = make_structures([([8, 1, 1], 2), ([6, 1, 1, 1, 1], 1), ([7, 7], 1)])
    np.testing.assert_array_equal(structures.counts(np.array([2, 0]), [1, 6, 8]), [[4, 1, 0], [2, 0, 1]])
    np.testing.assert_array_equal(structures.counts(np.array([3, 1]), [8]), [[0], [1]])
    assert structures.elements_of(np.array([1, 3])) == (1, 7, 8)


def test_structure_without_a_label_does_not_carry_it(view):
    structures = view.structures
    assert structures.carries("cc", forces=False).sum() == 562
    assert structures.carries("dft", forces=True).sum() == 821
    assert structures.carries("xtb", forces=True).sum() == 5477
    assert not structures.carries("cc", forces=True).any()
    np.testing.assert_array_equal(structures.usable("cc"), structures.carries("cc", forces=False))


def test_force_labels_are_needed_where_they_are_asked_for(open_small):
    def drop_forces(file):
        file["H2O"]["dft.forces"][2] = np.nan

    structures = open_small(change=drop_forces).structures
    lacking = np.flatnonzero(~structures.usable("dft"))
    assert [structures.describe(index) for index in lacking] == [f"H2O, conformer 2 (structure {lacking[0]})"]
    assert structures.carries("dft", forces=False).all()
