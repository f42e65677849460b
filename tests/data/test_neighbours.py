from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data import neighbours as neighbours_module
from mfsweep.data.neighbours import neighbours

CUTOFF = 3.0
"""Angstrom: less than most of these molecules, so that the cutoff cuts."""


def _own_pairs(edges, index):
    return edges.pairs[:, edges.offsets[index] // 2 : edges.offsets[index + 1] // 2].astype(int)


def test_edges_are_those_of_ase(view):
    structures, edges = view.structures, neighbours(view.structures, CUTOFF)
    cut = 0
    for index in np.linspace(0, len(structures.formula) - 1, 60).astype(int):
        atoms = structures.atoms_of(np.array([index]))
        molecule = Atoms(numbers=structures.species[atoms], positions=structures.positions[atoms])
        senders, receivers = neighbor_list("ij", molecule, CUTOFF)
        expected = set(zip(senders.tolist(), receivers.tolist(), strict=True))
        own = _own_pairs(edges, index)
        both = [*map(tuple, own.T.tolist()), *map(tuple, own[::-1].T.tolist())]
        assert set(both) == expected
        assert len(both) == edges.offsets[index + 1] - edges.offsets[index] == len(expected)
        cut += len(atoms) * (len(atoms) - 1) - len(expected)
    assert cut > 0


def test_edges_do_not_depend_on_how_many_pairs_are_held_at_once(view, monkeypatch):
    whole = neighbours(view.structures, CUTOFF)
    monkeypatch.setattr(neighbours_module, "PAIRS_AT_ONCE", 1000)
    parts = neighbours(view.structures, CUTOFF)
    np.testing.assert_array_equal(whole.offsets, parts.offsets)
    np.testing.assert_array_equal(whole.pairs, parts.pairs)


@pytest.mark.parametrize(("atoms", "kind"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_edges_of_large_structures_do_not_wrap_around(make_structures, atoms, kind):
    structures = make_structures([([1] * atoms, 1), ([8, 8], 1)])
    edges = neighbours(structures, cutoff=1e3)
    assert edges.pairs.dtype == kind
    assert edges.pairs.max() == atoms - 1
    np.testing.assert_array_equal(np.diff(edges.offsets), [atoms * (atoms - 1), 2])


def test_atom_without_neighbours_is_kept(make_structures):
    structures = make_structures([([2], 2), ([8, 1, 1], 1)])
    edges = neighbours(structures, CUTOFF)
    assert edges.offsets[:3].tolist() == [0, 0, 0]


@given(
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.booleans()] * 3),
    st.floats(1.0, 6.0),
)
def test_images_of_periodic_structures_are_those_of_ase(from_atoms, count, seed, pbc, cutoff):
    """Also in skewed cells, with atoms outside of them, and where only some directions are periodic."""
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(2.5, 5.0, 3)) + rng.uniform(-0.8, 0.8, (3, 3))
    crystal = Atoms(f"C{count}", positions=rng.uniform(-8, 8, (count, 3)), cell=cell, pbc=pbc)
    water = molecule("H2O")
    edges = neighbours(from_atoms(water, crystal, water), cutoff)
    senders, receivers, shifts = neighbor_list("ijS", crystal, cutoff)
    expected = Counter(zip(senders.tolist(), receivers.tolist(), map(tuple, shifts.tolist()), strict=True))
    own = _own_pairs(edges, 1).T.tolist()
    own_shifts = np.zeros((len(own), 3), int)
    if edges.shifts is not None:
        own_shifts = edges.shifts[edges.offsets[1] // 2 : edges.offsets[2] // 2].astype(int)
    there = Counter((i, j, tuple(s)) for (i, j), s in zip(own, own_shifts.tolist(), strict=True))
    back = Counter((j, i, tuple(-x for x in s)) for (i, j), s in zip(own, own_shifts.tolist(), strict=True))
    assert there + back == expected
    alone = neighbours(from_atoms(water), cutoff)
    np.testing.assert_array_equal(_own_pairs(edges, 2), _own_pairs(alone, 0))


def test_large_molecule_has_the_same_pairs_by_a_cell_list(from_atoms, monkeypatch):
    cluster = bulk("Cu", cubic=True).repeat(3)
    cluster.pbc = False
    dense = neighbours(from_atoms(cluster), CUTOFF)
    monkeypatch.setattr(neighbours_module, "DENSE", 10)
    listed = neighbours(from_atoms(cluster), CUTOFF)
    assert set(map(tuple, listed.pairs.T.tolist())) == set(map(tuple, dense.pairs.T.tolist()))
    assert listed.pairs.shape == dense.pairs.shape
    assert listed.shifts is None
