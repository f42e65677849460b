"""What a report is told of the data."""

from __future__ import annotations

import pytest

from mfsweep.prepare import prepare
from mfsweep.sweep import facts


@pytest.fixture
def plan(write_spec, store):
    return prepare(write_spec(), store.root)


def test_parts_are_those_of_the_partition(plan):
    view = plan.view(next(iter(plan.graph.nodes.values())))
    found = {part.name: part for part in facts.parts(plan)}
    assert found["t: test"].structures == len(view.partition.train["t"])
    assert found["b: validation"].structures == len(view.partition.validation["b"])
    members = view.partition.train["a"]
    part = found["a: train"]
    assert sum(part.sizes.values()) == part.structures == part.labels["cc"] == len(members)
    assert sum(part.elements.values()) == view.structures.sizes[members].sum()
    assert part.formulae == len(set(view.structures.formula[members].tolist()))


def test_predicted_structures_are_looked_up_in_the_data(plan):
    cell = max(plan.cells(), key=lambda one: len(one.stages))
    lineage = plan.graph.lineage(cell.stages[cell.result])
    view = plan.view(lineage[-1])
    members = view.partition.train["t"][:7]
    told = facts.look(plan)(cell, members, "cc")
    structures = view.structures
    assert told.formulae == tuple(structures.formulae[one] for one in structures.formula[members])
    numbers = structures.species[structures.atoms_of(members)]
    assert [told.elements[one] for one in told.kind] == [{1: "H", 6: "C", 7: "N", 8: "O"}[one] for one in numbers]
    assert told.forces_of == "dft"
    assert told.forces.shape == (len(numbers), 3)
    assert (told.distance > 0).all(), "no tested structure was trained on"
    trained = view.training(lineage[-1].training.sets[0])
    assert facts.look(plan)(cell, trained[:3], "cc").distance == pytest.approx(0)


def test_without_the_data_nothing_is_told(write_spec, store, monkeypatch):
    plan = prepare(write_spec(("bundled:mini-ccx", "gone.h5")), store.root, allow_missing_data=True)
    assert facts.parts(plan) == []
    assert facts.look(plan) is None
