"""Label methods told apart by a vector in place of a readout each, for every architecture that can."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from mfsweep.models.registry import ARCHITECTURES, Model
from mfsweep.spec.stage import Head, Lora
from mfsweep.train.parent import match_heads


@pytest.fixture
def conditioned(architecture):
    if architecture.FIRST_FEATURES is None:
        pytest.skip("its atoms have no features before the first layer, to which a vector could be added")
    return architecture.but(conditioning="embedding")


@pytest.fixture
def graph(make_graph, molecules):
    return make_graph(*molecules)


def agree(one, other):
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(one.forces, other.forces, rtol=1e-9, atol=1e-11)


def test_before_training_every_method_is_the_plain_model_of_the_seed(borrow_model, conditioned, graph):
    model = borrow_model(conditioned, heads=("cc", "dft", "xtb"))
    plain = borrow_model(conditioned.but(conditioning=None), heads=("cc",))(graph, "cc", forces=True)
    for head in model.shape.heads:
        found = model(graph, head, forces=True)
        assert torch.equal(found.energy, plain.energy)
        assert torch.equal(found.forces, plain.forces)


def test_a_vector_moves_its_method_alone_and_the_readout_moves_all(borrow_model, conditioned, graph, train_vectors):
    model = borrow_model(conditioned)
    train_vectors(model)
    model(graph, "cc", forces=False).energy.square().sum().backward()
    assert model.method_vectors.grad[0].any()
    assert not model.method_vectors.grad[1].any()
    before = {head: model(graph, head, forces=False).energy.detach() for head in model.shape.heads}
    assert (before["cc"] - before["dft"]).abs().max() > 1e-3
    with torch.no_grad():
        model.method_vectors[0] += 0.1
    assert not torch.allclose(model(graph, "cc", forces=False).energy, before["cc"])
    assert torch.equal(model(graph, "dft", forces=False).energy, before["dft"])
    with torch.no_grad():
        torch._foreach_mul_(model.readout_parameters()[1:], 1.5)
    assert not torch.allclose(model(graph, "dft", forces=False).energy, before["dft"])


def test_vectors_and_the_readout_are_what_a_frozen_backbone_leaves(borrow_model, conditioned):
    model, several = (borrow_model(conditioned, heads=heads) for heads in (("cc", "dft"), ("a", "b", "c")))
    sizes = [sum(own.numel() for own in one.readout_parameters()) for one in (model, several)]
    assert sizes[1] - sizes[0] == conditioned.method_width > 0
    assert model.method_vectors is model.readout_parameters()[0]
    assert not any(own is model.method_vectors for own in model.backbone_parameters())


@pytest.mark.parametrize(
    ("parent_heads", "heads", "given", "sources"),
    [
        (("cc", "dft"), ("cc",), {}, {"cc": "cc"}),
        (("dft",), ("cc", "dft"), {}, {"cc": "dft", "dft": "dft"}),
        (("cc", "dft"), ("xtb",), {"xtb": Head(source="dft")}, {"xtb": "dft"}),
        (("cc", "dft"), ("dft", "xtb"), {"xtb": Head(source="fresh")}, {"dft": "dft"}),
    ],
)
def test_a_method_starts_from_a_row_of_the_parents_table(
    borrow_model, conditioned, graph, train_vectors, parent_heads, heads, given, sources
):
    """Backbone and readout are the parent's for all of them; a fresh method has the vector that all begin with."""
    parent, child = borrow_model(conditioned, heads=parent_heads), borrow_model(conditioned, heads=heads, seed=2)
    train_vectors(parent)
    parent.shifts.copy_(torch.randn_like(parent.shifts))
    assert match_heads(heads, parent_heads, given) == sources
    child.adopt(parent.state_dict(), parent.shape, sources)
    for head, source in sources.items():
        agree(child(graph, head, forces=True), parent(graph, source, forces=True))
    for head in set(heads) - set(sources):
        assert not child.vector_of(head).any()
    shared = [(one.readout_parameters()[1:], one.backbone_parameters()) for one in (child, parent)]
    for ours, theirs in zip(*shared, strict=True):
        assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def test_one_method_stands_alone_as_a_plain_model(borrow_model, conditioned, graph, train_vectors):
    """Its vector goes into what atoms begin with: to the last digits, whatever file then holds it."""
    model = borrow_model(conditioned)
    train_vectors(model)
    model.shifts.copy_(torch.randn_like(model.shifts))
    for head in model.shape.heads:
        plain = model.alone(head)
        assert plain.spec == conditioned.but(conditioning=None)
        assert plain.method_vectors is None
        agree(plain(graph, head, forces=True), model(graph, head, forces=True))


def test_adapters_leave_the_vectors_to_train(borrow_model, conditioned, graph):
    model = borrow_model(conditioned)
    model.adapt(Lora(rank=2))
    model(graph, "dft", forces=False).energy.square().sum().backward()
    assert model.method_vectors.grad[1].any()
    assert "method_vectors" in model.merged_state()


def test_the_default_is_no_part_of_a_model_whether_or_not_a_spec_says_it():
    for name in ARCHITECTURES:
        silent, said = (
            TypeAdapter(Model).validate_python({"architecture": name, **more})
            for more in ({}, {"conditioning": "heads"})
        )
        assert said == silent
        assert said.key == silent.key
        assert "conditioning" not in said.identity()


def test_an_architecture_without_a_place_for_vectors_says_which_have_one():
    for name, kind in ARCHITECTURES.items():
        asked = {"architecture": name, "conditioning": "embedding"}
        if kind.FIRST_FEATURES:
            assert TypeAdapter(Model).validate_python(asked).method_width > 0
            continue
        with pytest.raises(ValidationError, match=rf"{name} takes no vectors of methods \(mace or painn does\)"):
            TypeAdapter(Model).validate_python(asked)
