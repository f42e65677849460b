"""Runs in a process of the overlay: see ../test_overlays.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from mfsweep.errors import ResourceError, TrainingError
from mfsweep.models.allegro import Allegro
from mfsweep.models.allegro.network import Key, _mlp
from mfsweep.models.architecture import Shape
from mfsweep.models.overlay import enter
from mfsweep.models.registry import build
from mfsweep.spec.stage import Lora
from mfsweep.train.checkpoint import Weights, save_weights
from mfsweep.train.predictor import load_model


def test_the_studys_size_has_about_its_parameter_count():
    """The source study: about 1M parameters for one head."""
    shape = Shape(("cc",), (1, 6, 7, 8), 10.0)
    model = build(Allegro(architecture="allegro"), shape, {"cc": {}}, seed=0, dtype=torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_003_520


def test_the_products_are_nequip_allegros_own(make_model, architecture, make_graph, molecules):
    model, graph = make_model(architecture), make_graph(*molecules)
    ours = model(graph, "cc", forces=True)
    layers = model.network.layers
    layers.tps = torch.nn.ModuleList(batched.product for batched in layers.tps)
    theirs = model(graph, "cc", forces=True)
    torch.testing.assert_close(ours.energy, theirs.energy, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(ours.forces, theirs.forces, rtol=1e-9, atol=1e-11)


def test_pairs_are_summed_as_by_nequip_allegro(make_model, make_graph, molecules):
    from allegro.nn import EdgewiseReduce  # after allegro.network, which silences what it warns of at import

    model, graph = make_model(), make_graph(*molecules)
    reduce = EdgewiseReduce("edge_energy", "atomic_energy", 7.5, ["H", "C", "N", "O"]).double()
    data = {Key.POSITIONS_KEY: graph.positions, Key.EDGE_INDEX_KEY: graph.edges, Key.ATOM_TYPE_KEY: graph.species}
    features = model.network(dict(data))[Key.EDGE_FEATURES_KEY]
    expected = reduce({**data, "edge_energy": model.readouts[1](features)})["atomic_energy"].squeeze(-1)
    torch.testing.assert_close(
        model.atomic_energies(graph, "dft"), expected, rtol=1e-6, atol=1e-8
    )  # 1/sqrt(n) in float32


def test_edges_may_lie_in_memory_in_any_order(make_model, make_graph, molecules):
    model, graph = make_model(), make_graph(*molecules)
    turned = graph._replace(edges=graph.edges.T.contiguous().T)
    assert not turned.edges.is_contiguous()
    assert torch.equal(model(turned, "cc", forces=False).energy, model(graph, "cc", forces=False).energy)


@pytest.mark.parametrize("widths", [(8, 5, 1), (8, 5, 5, 1)])
def test_a_readout_is_nequips_mlp(widths):
    from nequip.nn import ScalarMLPFunction

    torch.manual_seed(4)
    ours = _mlp(widths)
    torch.manual_seed(4)
    theirs = ScalarMLPFunction(8, 1, hidden_layers_depth=len(widths) - 2, hidden_layers_width=5)
    features = torch.rand(3, 8)
    assert torch.equal(ours(features), theirs(features))


def test_a_model_is_of_one_precision(make_model, make_graph, molecules):
    model = make_model(dtype=torch.float32)
    assert {tensor.dtype for tensor in [*model.parameters(), *model.buffers()]} == {torch.float32}
    assert model(make_graph(*molecules, dtype=torch.float32), "cc", forces=True).forces.dtype == torch.float32


@pytest.mark.parametrize(
    ("parent_heads", "sources"),
    [
        (("cc", "dft"), {"cc": "cc"}),
        (("dft",), {"cc": "dft", "dft": "dft"}),
        (("cc", "dft"), {"dft": "cc", "cc": "dft"}),
    ],
)
def test_a_child_computes_what_its_parent_computed(
    make_model, architecture, make_graph, molecules, parent_heads, sources
):
    parent = make_model(architecture, heads=parent_heads, seed=1)
    child = make_model(architecture, heads=tuple(sources), seed=2)
    child.adopt(parent.state_dict(), parent.shape, sources)
    graph = make_graph(*molecules)
    for head, source in sources.items():
        ours, theirs = child(graph, head, forces=True), parent(graph, source, forces=True)
        assert torch.equal(ours.energy, theirs.energy)
        assert torch.equal(ours.forces, theirs.forces)


def test_a_head_may_be_wider_and_then_starts_fresh(make_model, make_graph, molecules):
    parent = make_model(heads=("dft",), seed=1)
    shape = parent.shape._replace(heads=("dft", "cc"), hidden={"cc": (32, 16)})
    child = build(parent.spec, shape, {"dft": {}, "cc": {}}, seed=2, dtype=torch.float64)
    drawn = [parameter.clone() for parameter in child.readouts[1].parameters()]
    assert [tuple(parameter.shape) for parameter in drawn] == [(24, 32), (32, 16), (16, 1)]
    child.adopt(parent.state_dict(), parent.shape, {"dft": "dft"})
    assert all(torch.equal(a, b) for a, b in zip(child.readouts[1].parameters(), drawn, strict=True))
    graph = make_graph(*molecules)
    assert torch.equal(child(graph, "dft", forces=False).energy, parent(graph, "dft", forces=False).energy)
    with pytest.raises(TrainingError, match=r"'cc' with hidden widths \[32, 16\] cannot start"):
        child.adopt(parent.state_dict(), parent.shape, {"cc": "dft"})


def test_adapters_leave_the_function_until_they_train_and_merge_into_it(
    make_model, architecture, make_graph, molecules
):
    model, graph = make_model(architecture), make_graph(*molecules)
    before = model(graph, "cc", forces=False).energy.detach()
    model.adapt(Lora(rank=2))
    torch.testing.assert_close(model(graph, "cc", forces=False).energy, before)
    with torch.no_grad():
        for factor in model.adapter_parameters():
            factor.add_(0.1)
    adapted = model(graph, "cc", forces=False).energy.detach()
    assert not torch.allclose(adapted, before)
    model.merge()
    torch.testing.assert_close(model(graph, "cc", forces=False).energy, adapted)


def test_a_file_of_it_predicts_and_gives_a_crystal_its_stress(make_model, tmp_path):
    """Like every architecture; the law of the stress is in test_laws.py."""
    model = make_model(heads=("cc",))
    offsets = {"cc": dict.fromkeys(model.shape.elements, -100.0)}
    weights = Weights(model.spec.model_dump(mode="json"), "float64", ["cc"], list(model.shape.elements), 7.5, offsets, 1, model.state_dict())  # fmt: skip
    save_weights(tmp_path / "selected.pt", weights)
    predictor = load_model(tmp_path / "selected.pt")
    water, crystal = molecule("H2O"), bulk("C", "diamond", a=3.5)
    found = predictor.predict([water, crystal], stress=True)
    assert found.energy[0] == pytest.approx(predictor.predict([water]).energy[0])
    assert np.isfinite(found.stress[1]).all()
    with pytest.raises(ResourceError, match="imported packages of allegro: expected a process of its own"):
        enter("mace")
