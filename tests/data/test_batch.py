from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.batch import assemble
from mfsweep.data.neighbours import neighbours
from mfsweep.errors import DataError
from mfsweep.spec.stage import LabelledSet

CUTOFF = 3.0
"""Angstrom: less than most of these molecules, so that the cutoff cuts."""


def _own_pairs(edges, index):
    return edges.pairs[:, edges.offsets[index] // 2 : edges.offsets[index + 1] // 2].astype(int)


def test_edges_run_both_ways_and_never_to_the_atom_itself(view):
    batch = assemble(view, np.arange(200), "xtb", dict.fromkeys(view.elements, 0.0), CUTOFF, with_forces=False)
    senders, receivers = batch.edge_index
    assert (senders != receivers).all()
    assert (batch.structure[senders] == batch.structure[receivers]).all()
    edges = set(zip(senders.tolist(), receivers.tolist(), strict=True))
    assert len(edges) == len(senders)
    assert edges == {(receiver, sender) for sender, receiver in edges}


@given(st.data())
def test_batch_is_its_structures_side_by_side(view, data):
    structures = view.structures
    members = data.draw(st.lists(st.integers(0, len(structures.formula) - 1), min_size=1, max_size=6))
    offsets = {1: -13.0, 6: -57.0, 7: -78.0, 8: -110.0}
    batch = assemble(view, np.array(members), "xtb", offsets, CUTOFF, with_forces=True)
    labels, edges = structures.labels["xtb"], view.edges(CUTOFF)
    at = pair_at = 0
    one_way, other_way = np.split(batch.edge_index, 2, axis=1)
    np.testing.assert_array_equal(one_way, other_way[::-1])
    for number, index in enumerate(members):
        own = slice(structures.offsets[index], structures.offsets[index + 1])
        size = own.stop - own.start
        here = slice(at, at + size)
        np.testing.assert_array_equal(batch.species[here], structures.species[own])
        np.testing.assert_array_equal(batch.positions[here], structures.positions[own])
        np.testing.assert_array_equal(batch.forces[here], labels.forces[own])
        assert (batch.structure[here] == number).all()
        local = _own_pairs(edges, index) + at
        np.testing.assert_array_equal(one_way[:, pair_at : pair_at + local.shape[1]], local)
        expected = labels.energy[index] - sum(offsets[z] for z in structures.species[own].tolist())
        assert batch.energy[number] == pytest.approx(expected, abs=1e-9)
        at, pair_at = at + size, pair_at + local.shape[1]
    assert batch.ptr.tolist() == [0, *np.cumsum(structures.sizes[members]).tolist()]
    assert (len(batch.species), one_way.shape[1]) == (at, pair_at)
    assert batch.atoms.tolist() == structures.sizes[members].tolist()
    assert batch.index.tolist() == members
    assert batch.method == "xtb"
    assert batch.shifts is None


def test_types_are_those_that_a_model_takes(view):
    sets = [LabelledSet(labels="cc", subset="a")]
    batch = assemble(view, np.array([3, 1]), "cc", view.offsets("cc", sets), CUTOFF, with_forces=False)
    assert batch.forces is None
    kinds = {name: getattr(batch, name).dtype for name in ("positions", "energy", "structure", "ptr", "edge_index")}
    assert kinds == {"positions": "f8", "energy": "f8", "structure": "i8", "ptr": "i8", "edge_index": "i8"}


def test_element_without_offset_and_forces_of_an_energy_only_method_are_refused(view):
    with pytest.raises(DataError, match="no energy offset for"):
        assemble(view, np.array([0]), "xtb", {1: 0.0}, CUTOFF, with_forces=False)
    with pytest.raises(ValueError, match="energies only"):
        assemble(view, np.array([0]), "cc", dict.fromkeys(view.elements, 0.0), CUTOFF, with_forces=True)


def test_images_of_periodic_structures_are_as_far_as_their_shifts_say(make_structures):
    cells = np.stack([np.diag([2.5, 3.0, 20.0]), np.zeros((3, 3))])
    structures = make_structures([([8, 1], 1), ([6, 8, 8], 1)])._replace(
        cell=cells, pbc=np.array([[True, True, False], [False] * 3])
    )
    view = SimpleNamespace(structures=structures, edges=lambda cutoff: neighbours(structures, cutoff))
    offsets = dict.fromkeys((1, 6, 8), 0.0)
    method = next(iter(structures.labels))
    batch = assemble(view, np.array([1, 0, 1]), method, offsets, CUTOFF, with_forces=False)
    assert batch.shifts is not None
    one_way = batch.edge_index[:, : len(batch.shifts)]
    assert set(batch.structure[one_way[0]][np.abs(batch.shifts).max(axis=1) > 0].tolist()) == {1}
    vectors = batch.positions[one_way[1]] - batch.positions[one_way[0]] + batch.shifts
    assert (np.linalg.norm(vectors, axis=1) < CUTOFF).all()
    crystal = Atoms("OH", positions=batch.positions[batch.structure == 1], cell=cells[0], pbc=[True, True, False])
    assert len(neighbor_list("i", crystal, CUTOFF)) == 2 * int((batch.structure[one_way[0]] == 1).sum())
