"""What every architecture states of itself holds of its models; test_laws.py holds what they compute to physics."""

from __future__ import annotations

import importlib.util
import io
import typing

import pytest
import torch
from architectures import SPECS
from pydantic import TypeAdapter, ValidationError

from mfsweep.models.archive import load_plain
from mfsweep.models.registry import ARCHITECTURES, LARGE, SMALL, Model
from mfsweep.spec.yaml12 import parse

HEADS = ((16,), (8, 4))


@pytest.fixture(params=ARCHITECTURES)
def kind(request):
    return ARCHITECTURES[request.param]


@pytest.fixture
def plain(kind):
    """An architecture at its defaults, as a spec that names it alone reads it."""
    (name,) = (name for name, own in ARCHITECTURES.items() if own is kind)
    return TypeAdapter(Model).validate_python({"architecture": name})


def sizes(spec):
    """Yield each of a model's fields that is a whole number, with a next larger value that is a valid one."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        for more in (1, 2):
            if type(value) is int:
                try:
                    yield name, spec.but(**{name: value + more})
                except ValidationError:
                    continue
                break


def test_the_registry_the_type_of_specs_and_the_laws_know_the_same_ones():
    (union, *_) = typing.get_args(Model)
    assert {own: own.model_fields["architecture"].annotation for own in ARCHITECTURES.values()} == {
        own: typing.Literal[name] for name, own in ARCHITECTURES.items()
    }
    assert set(typing.get_args(union)) == set(ARCHITECTURES.values())
    assert list(SPECS) == list(ARCHITECTURES)
    assert all(type(spec) is ARCHITECTURES[name] for name, own in SPECS.items() for spec in own.values())


def test_a_spec_need_only_name_it_and_a_misspelt_field_is_refused(plain):
    assert plain.but() == plain
    with pytest.raises(ValidationError):
        plain.but(chanels=4)


@pytest.mark.parametrize(("heads", "hidden"), [(("cc",), {}), (("cc", "dft"), {}), (("cc", "dft"), {"cc": (6, 3)})])
def test_a_plan_knows_the_number_of_parameters(borrow_model, architecture, heads, hidden):
    options = {"hidden": hidden} if len(heads) > 1 else {"heads": heads}
    model = borrow_model(architecture, **options)
    widths = [model.shape.widths(architecture, head) for head in heads]
    assert architecture.parameters(4, widths) == sum(parameter.numel() for parameter in model.parameters())
    if architecture.FIRST_FEATURES and not hidden:
        conditioned = architecture.but(conditioning="embedding")
        model = borrow_model(conditioned, heads=heads)
        assert conditioned.parameters(4, widths) == sum(parameter.numel() for parameter in model.parameters())


def test_size_and_cost_are_positive_and_grow_with_every_field(plain):
    assert plain.effort() > 0
    larger = dict(sizes(plain))
    assert {"layers", "readout_hidden"} <= larger.keys()
    for name, model in larger.items():
        assert model.effort() >= plain.effort(), name
        assert model.parameters(4, HEADS) >= plain.parameters(4, HEADS), name
    assert any(model.effort() > plain.effort() for name, model in larger.items() if name != "layers")
    assert larger["layers"].effort() > plain.effort()
    assert larger["layers"].parameters(4, HEADS) > plain.parameters(4, HEADS)
    assert plain.parameters(5, HEADS) > plain.parameters(4, HEADS) > plain.parameters(4, HEADS[:1])


def test_seconds_of_our_own_follow_the_rule_by_which_they_are_scaled(kind):
    assert all(0 < timed.energies_only < timed.with_forces for timed in kind.measured())
    for field in ("with_forces", "energies_only"):
        shares = [getattr(timed, field) / timed.model.effort() for timed in kind.measured()]
        assert not shares or max(shares) < 2.5 * min(shares)


def test_its_packages_are_those_of_its_overlay_if_it_has_one(kind):
    pinned = {pin.partition("==")[0] for pin in kind.PINS}
    assert all(pin.count("==") == 1 for pin in kind.PINS)
    assert not kind.PINS or set(kind.PACKAGES) <= pinned
    assert all(name in kind.model_fields for name in kind.SHOWN)


@pytest.mark.parametrize("starter", [SMALL, LARGE])
def test_a_first_spec_begins_with_a_valid_model(starter):
    model = TypeAdapter(Model).validate_python(parse(starter.model).tree)
    assert model.parameters(4, [(16,)]) < 1e6


def test_the_seed_alone_makes_the_initial_weights(borrow_model, architecture):
    one, same, other = (borrow_model(architecture, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    weights = [(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True) if a.any() or b.any()]
    assert not any(torch.equal(a, b) for a, b in weights)


def test_making_a_model_leaves_torchs_generator_and_default_alone(make_model):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    make_model(seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_default_dtype() == torch.float32


def test_a_model_comes_back_from_a_file_bit_for_bit(borrow_model, architecture, make_graph, molecules):
    model, graph = borrow_model(architecture, seed=1), make_graph(*molecules)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    other = borrow_model(architecture, seed=2)
    other.load_state_dict(load_plain(file.getvalue()))
    for head in model.shape.heads:
        ours, theirs = (one(graph, head, forces=True) for one in (model, other))
        assert torch.equal(ours.energy, theirs.energy)
        assert torch.equal(ours.forces, theirs.forces)


def test_single_precision_agrees_with_double(borrow_model, architecture, make_graph, molecules):
    single, double = (borrow_model(architecture, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert {parameter.dtype for parameter in single.parameters()} == {torch.float32}
    double.adopt(single.state_dict(), single.shape, {head: head for head in single.shape.heads})
    ours = single(make_graph(*molecules, dtype=torch.float32), "cc", forces=True)
    theirs = double(make_graph(*molecules), "cc", forces=True)
    assert (ours.energy.dtype, ours.forces.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(ours.energy.double(), theirs.energy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.forces.double(), theirs.forces, rtol=1e-4, atol=1e-4)


def test_shapes_that_follow_from_the_graph_alone_change_no_number(borrow_model, architecture, make_graph, molecules):
    model, graph = borrow_model(architecture), make_graph(*molecules)
    free = model(graph, "cc", forces=True)
    model.fixed_shapes = True
    fixed = model(graph, "cc", forces=True)
    model.fixed_shapes = False
    torch.testing.assert_close(fixed.energy, free.energy, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(fixed.forces, free.forces, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("library", ["cueq", "oeq"])
def test_kernels_that_a_model_cannot_have_are_an_import_error(library, borrow_model, architecture, monkeypatch):
    """Which is how a stage comes to say why it trains by eager PyTorch."""
    model, known = borrow_model(architecture), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "equivariance" in name else known(name))
    assert not model.has_kernels(library)
    with pytest.raises(ImportError, match=r"equivariance(_torch)? is not installed|no kernels for the architecture"):
        model.by_kernels(library)
