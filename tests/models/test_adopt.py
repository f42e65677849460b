"""What a child takes from its parent, for every architecture."""

from __future__ import annotations

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.spec.stage import Head
from mfsweep.train.parent import match_heads


@pytest.mark.parametrize(
    ("parent_heads", "heads", "sources"),
    [
        (("cc", "dft"), ("cc",), {"cc": "cc"}),
        (("dft",), ("cc", "dft"), {"cc": "dft", "dft": "dft"}),
        (("cc", "dft", "xtb"), ("dft", "xtb"), {"dft": "dft", "xtb": "xtb"}),
    ],
)
def test_a_child_computes_what_its_parent_computed(
    borrow_model, architecture, make_graph, molecules, parent_heads, heads, sources
):
    parent = borrow_model(architecture, heads=parent_heads, seed=1)
    child = borrow_model(architecture, heads=heads, seed=2)
    assert match_heads(heads, parent_heads) == sources
    child.adopt(parent.state_dict(), parent.shape, sources)
    graph = make_graph(*molecules)
    for head, source in sources.items():
        ours, theirs = child(graph, head, forces=True), parent(graph, source, forces=True)
        torch.testing.assert_close(ours.energy, theirs.energy, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(ours.forces, theirs.forces, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("parent_hidden", "hidden"),
    [({"cc": (6, 3)}, {"cc": (6, 3)}), ({"cc": (6, 3)}, {}), ({}, {"dft": (5,)})],
)
def test_heads_of_one_width_start_from_each_other_in_any_company(
    borrow_model, architecture, make_graph, molecules, parent_hidden, hidden
):
    """mace-torch's block holds all heads in one tensor, a block with an enlarged head does not."""
    parent = borrow_model(architecture, heads=("cc", "dft"), seed=1, hidden=parent_hidden)
    child = borrow_model(architecture, heads=("cc", "dft", "xtb"), seed=2, hidden=hidden)
    sources = {}
    for head in child.shape.heads:
        wide = [name for name in parent.shape.heads if parent_hidden.get(name) == hidden.get(head)]
        sources.update({head: wide[-1]} if wide else {})
    assert sources
    child.adopt(parent.state_dict(), parent.shape, sources)
    graph = make_graph(*molecules)
    for head, source in sources.items():
        ours, theirs = child(graph, head, forces=False).energy, parent(graph, source, forces=False).energy
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def test_backbone_and_shifts_are_the_parents_bit_for_bit(borrow_model, architecture):
    parent = borrow_model(architecture, heads=("cc", "dft"), seed=1, dtype=torch.float32)
    parent.shifts.copy_(torch.arange(8.0).view(2, 4))
    child = borrow_model(architecture, heads=("xtb", "cc"), seed=2, dtype=torch.float32, hidden={"xtb": (6, 3)})
    child.adopt(parent.state_dict(), parent.shape, {"cc": "dft"})
    pairs = zip(child.backbone_parameters(), parent.backbone_parameters(), strict=True)
    assert all(torch.equal(own, theirs) for own, theirs in pairs)
    assert child.shifts.tolist() == [[0, 0, 0, 0], [4, 5, 6, 7]]


def test_a_fresh_head_is_the_seeds(borrow_model, architecture, make_graph, molecules):
    parent, graph = borrow_model(architecture, seed=1), make_graph(*molecules)
    children = [borrow_model(architecture, seed=seed) for seed in (2, 2, 3)]
    sources = match_heads(("cc", "dft"), ("cc", "dft"), {"cc": Head(source="fresh")})
    energies = []
    for child in children:
        child.adopt(parent.state_dict(), parent.shape, sources)
        energies.append({head: child(graph, head, forces=False).energy for head in ("cc", "dft")})
    expected = {head: parent(graph, head, forces=False).energy for head in ("cc", "dft")}
    assert all(torch.allclose(energy["dft"], expected["dft"], rtol=1e-11) for energy in energies)
    assert torch.equal(energies[0]["cc"], energies[1]["cc"])
    assert (energies[0]["cc"] - expected["cc"]).abs().min() > 1e-4
    assert (energies[0]["cc"] - energies[2]["cc"]).abs().min() > 1e-4


def test_shifts_count_once_for_each_atom(borrow_model, architecture, make_graph, molecules):
    model, graph = borrow_model(architecture), make_graph(*molecules)
    plain = model(graph, "dft", forces=True)
    model.shifts[1] = torch.tensor([0.5, -1.0, 2.0, 4.0])
    moved = model(graph, "dft", forces=True)
    expected = [sum((0.5, -1.0, 2.0, 4.0)[kind] for kind in species) for species, _ in molecules]
    torch.testing.assert_close(moved.energy - plain.energy, torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(moved.forces, plain.forces)
    assert torch.equal(
        model(graph, "cc", forces=False).energy, borrow_model(architecture)(graph, "cc", forces=False).energy
    )


def test_a_head_of_another_width_is_refused(borrow_model, architecture):
    parent, child = borrow_model(architecture), borrow_model(architecture, hidden={"cc": (6, 3)})
    with pytest.raises(
        TrainingError, match=r"'cc' with hidden widths \[6, 3\] .* 'dft' with \[4\]: leave `hidden` out"
    ):
        child.adopt(parent.state_dict(), parent.shape, {"cc": "dft"})


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ({"cc": Head(source="dft")}, {"cc": "dft", "dft": "dft"}),
        ({"cc": Head(source="fresh")}, {"dft": "dft"}),
        ({"cc": Head(source="parent")}, {"cc": "cc", "dft": "dft"}),
        ({"dft": Head(hidden=(8,))}, {"cc": "cc", "dft": "dft"}),
    ],
)
def test_a_spec_says_where_heads_start(given, sources):
    assert match_heads(("cc", "dft"), ("cc", "dft"), given) == sources


def test_a_head_that_several_could_give_is_refused():
    with pytest.raises(
        TrainingError, match=r"'cc' cannot start from the parent stage: it has the heads dft, xtb.*`heads:"
    ):
        match_heads(["cc"], ["dft", "xtb"])


def test_a_source_that_the_parent_lacks_is_refused():
    with pytest.raises(TrainingError, match=r"'cc' cannot start from 'dtf' of the parent stage.*Did you mean 'dft'\?"):
        match_heads(["cc"], ["dft", "xtb"], {"cc": Head(source="dtf")})
