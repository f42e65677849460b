"""What a report is told of the data."""

from __future__ import annotations

import pytest

from mfsweep.analysis.page.blocks import Paragraph
from mfsweep.analysis.report.data import blocks
from mfsweep.analysis.study import ReportStudy
from mfsweep.prepare import prepare
from mfsweep.spec.data import Splits, Subset
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


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({}, "Parts are drawn by formula: none stands in two of them."),
        (
            {"by": "structure"},
            "by structures (copies together): none of these stands in two of them, but a formula may.",
        ),
        ({"by": "molecule"}, "by groups of molecule: none of these stands in two of them, but a formula may."),
        ({"given": "part"}, "Parts are those that the column part gives: a formula may stand in several of them."),
        ({"given": "x.json"}, "Parts are those that the file x.json gives: a formula may stand in several of them."),
    ],
)
def test_how_the_parts_were_made_is_told(splits, said):
    assert facts.drawn(Splits(a=Subset(size=5), **splits)).endswith(said)


def test_the_section_of_the_data_says_how_the_parts_were_made(plan):
    study = ReportStudy("demo", "", (), parts=facts.parts(plan)[:1], drawn="Parts are drawn by hand.")
    assert blocks(study)[0] == Paragraph(
        "Parts are drawn by hand. Where a spec has several partitions, these are the parts of the first."
    )


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
