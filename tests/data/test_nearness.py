from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.data import nearness
from mfsweep.data.nearness import distances, fingerprints


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_fingerprint_does_not_change_when_a_structure_is_turned_moved_or_renumbered(view, seed):
    rng = np.random.default_rng(seed)
    structures = view.structures
    index = np.array([rng.integers(len(structures.formula))])
    elements = structures.elements_of(np.arange(len(structures.formula)))
    atoms = structures.atoms_of(index)
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(atoms))
    positions, species = structures.positions.astype(np.float64), structures.species.copy()
    positions[atoms] = (positions[atoms] @ turned + rng.normal(size=3))[order]
    species[atoms] = species[atoms][order]
    moved = structures._replace(positions=positions, species=species)
    plain = fingerprints(structures._replace(positions=structures.positions.astype(np.float64)), index, elements)
    np.testing.assert_allclose(fingerprints(moved, index, elements), plain, atol=1e-9)


def test_a_structure_of_the_training_set_has_no_distance_and_another_formula_is_further_than_a_conformer(view):
    structures = view.structures
    own = np.flatnonzero(structures.formula == structures.formula[0])
    others = np.flatnonzero(structures.formula != structures.formula[0])[:200]
    assert distances(structures, own[:3], own[:5]) == pytest.approx(0)
    conformers = distances(structures, own[5:], own[:5])
    assert (conformers > 0).all()
    assert conformers.max() < distances(structures, others, own[:5]).min()


def test_the_nearest_is_the_nearest_of_all(view):
    structures = view.structures
    tested, trained = np.arange(20), np.arange(400, 700)
    elements = structures.elements_of(np.arange(700))
    asked, known = (fingerprints(structures, own, elements) for own in (tested, trained))
    every = np.linalg.norm(asked[:, None] - known, axis=-1)
    np.testing.assert_allclose(distances(structures, tested, trained), every.min(axis=1), atol=1e-9)


def test_of_a_large_training_set_some_are_taken_and_too_large_a_test_has_no_distance(view, monkeypatch):
    structures = view.structures
    tested, trained = np.arange(20), np.arange(400, 1000)
    every = distances(structures, tested, trained)
    monkeypatch.setattr(nearness, "MOST", 50)
    assert (distances(structures, tested, trained) >= every - 1e-12).all()
    monkeypatch.setattr(nearness, "MOST_PAIRS", 100)
    assert distances(structures, tested, trained) is None
    assert distances(structures, tested, trained[:0]) is None
