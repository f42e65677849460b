from __future__ import annotations

import json

import numpy as np
import pytest

from mfsweep.data.residuals import residuals
from mfsweep.data.structures import Labels
from mfsweep.data.survey.describe import describe
from mfsweep.data.survey.info import plain
from mfsweep.data.units import HARTREE


@pytest.fixture(scope="module")
def info(view):
    return describe(view.structures)


def changed(structures, method, energy=None, forces=None):
    """Return structures with one method's labels changed in place by functions."""
    own = structures.labels[method]
    new = Labels(own.energy.copy(), own.forces.copy() if own.forces is not None else None)
    for array, change in ((new.energy, energy), (new.forces, forces)):
        if change is not None:
            change(array)
    return structures._replace(labels=structures.labels | {method: new})


def test_counts_are_those_of_the_file(view, info):
    structures = view.structures
    assert (info.structures, info.atoms, info.formulae) == (5477, 56679, 124)
    assert sum(info.sizes.histogram.values()) == info.structures
    assert sum(size * number for size, number in info.sizes.histogram.items()) == info.atoms
    assert info.sizes.median == np.median(structures.sizes)
    assert sum(element.atoms for element in info.elements.values()) == info.atoms
    assert info.elements["O"].structures == (structures.counts(np.arange(5477), [8])[:, 0] > 0).sum()
    assert info.commonest[0][1] == np.bincount(structures.formula).max()
    assert {name: (own.structures, own.forces and own.forces.structures) for name, own in info.methods.items()} == {
        "cc": (562, None),
        "dft": (821, 821),
        "xtb": (5477, 5477),
    }
    assert (info.periodic, info.charged, info.odd_electrons, info.flaws) == (0, None, 0, {})


def test_differences_are_those_of_the_residuals(view, info):
    for pair in info.pairs:
        expected = residuals(view, pair.methods[0], [pair.methods[1]])
        assert pair.structures == len(expected.index)
        assert pair.mean_abs == pytest.approx(1000 * expected.mean_abs[0], rel=1e-6)
        assert 0.9 < pair.pearson < 1


def test_sound_data_look_like_what_they_are(info):
    for own in info.methods.values():
        assert (own.flaws, own.determined, own.judgement) == ({}, True, [])


def test_energies_in_ev_taken_for_hartree_are_noticed(view):
    structures = view.structures

    def swap(array):
        array *= HARTREE

    found = describe(changed(structures, "dft", swap, swap)).methods["dft"]
    (said,) = found.judgement
    assert said.startswith("the dft energies do not look like hartree")


def test_what_cannot_be_trained_on_is_counted(view):
    structures = view.structures
    first = structures.offsets[10]

    def energies(array):
        array[[10, 20]] = np.nan, np.inf

    def forces(array):
        array[first] = np.nan

    own = describe(changed(structures, "xtb", energies, forces)).methods["xtb"]
    assert own.structures == 5475
    assert own.flaws == {"energies that are not finite": 1, "forces on a part of the atoms": 1}
    moved = structures.positions.copy()
    moved[first] = np.nan
    assert describe(structures._replace(positions=moved)).flaws == {"its positions are not finite": 1}
    lacking = describe(changed(structures, "xtb", lambda array: array.__setitem__(10, np.nan))).methods["xtb"]
    assert lacking.flaws == {"forces but no energy": 1}


def test_outliers_are_named_the_farthest_first(view):
    structures = view.structures
    found = describe(
        changed(
            structures,
            "xtb",
            lambda array: array.__setitem__([5, 6], array[[5, 6]] + [300.0, -200.0]),
            lambda array: array.__setitem__(structures.offsets[8], 500.0),
        ),
        threshold=50,
    ).methods["xtb"]
    assert [name for name, _ in found.far.first] == [structures.describe(5), structures.describe(6)]
    assert found.far.first[0][1] > 50 > -50 > found.far.first[1][1]
    assert [name for name, _ in found.forces.far.first] == [structures.describe(8)]


def test_charges_and_radicals_are_counted(make_structures):
    structures = make_structures([([8, 1, 1], 2), ([8, 1], 3)])
    assert describe(structures).odd_electrons == 3
    charged = describe(structures._replace(charge=np.array([0, 1, -1, 0, 0], np.int16)))
    assert (charged.charged, charged.odd_electrons) == (2, 3)
    pbc = np.array([[False] * 3] * 4 + [[True] * 3])
    crystal = describe(structures._replace(pbc=pbc, cell=np.tile(9 * np.eye(3), (5, 1, 1))))
    assert (crystal.periodic, crystal.odd_electrons) == (1, 2)


def test_one_structure_without_labels_is_described(make_structures):
    structures = make_structures([([1, 1], 1)])._replace(labels={"cc": Labels(np.array([np.nan]), None)})
    found = describe(structures)
    assert (found.structures, found.methods["cc"].structures, found.pairs) == (1, 0, [])
    assert json.loads(json.dumps(plain(found), allow_nan=False))["methods"]["cc"]["spread"] is None


def test_everything_is_plain_data(info):
    assert json.loads(json.dumps(plain(info), allow_nan=False))["pairs"][0]["methods"] == ["cc", "dft"]
