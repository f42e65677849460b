"""Low-rank adapters, for every architecture."""

from __future__ import annotations

import pytest
import torch

from mfsweep.spec.stage import Lora


@pytest.fixture
def adapted(borrow_model, architecture):
    model = borrow_model(architecture)
    model.adapt(Lora(rank=2, scale=0.5))
    return model


def predict(model, graph):
    return model(graph, "cc", forces=True)


def test_adapters_change_nothing_until_they_train(
    adapted, borrow_model, architecture, make_graph, molecules, train_adapters
):
    graph = make_graph(*molecules)
    plain = predict(borrow_model(architecture), graph)
    assert torch.equal(predict(adapted, graph).energy, plain.energy)
    train_adapters(adapted)
    assert (predict(adapted, graph).energy - plain.energy).abs().min() > 1e-5


def test_only_adapters_and_readouts_get_gradients(adapted, make_graph, molecules):
    prediction = predict(adapted.train(), make_graph(*molecules))
    (prediction.energy.square().sum() + prediction.forces.square().sum()).backward()
    assert all(parameter.grad is None for parameter in adapted.backbone_parameters())
    # A gets none yet, since B is zero; with the least models some irreps never reach the energy.
    assert sum(bool(factor.grad.any()) for factor in adapted.adapter_parameters() if factor.grad is not None) > 3
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in adapted.readout_parameters())


def test_adapters_are_of_low_rank(adapted, borrow_model, architecture):
    plain = borrow_model(architecture).backbone_parameters()
    assert sum(factor.numel() for factor in adapted.adapter_parameters()) < sum(weight.numel() for weight in plain)
    assert all(min(factor.shape) <= 2 for factor in adapted.adapter_parameters())


def test_a_merged_model_is_a_plain_one_with_the_same_function(
    adapted, borrow_model, architecture, make_graph, molecules, train_adapters
):
    train_adapters(adapted)
    graph, plain = make_graph(*molecules), borrow_model(architecture)
    before, state = predict(adapted, graph), adapted.merged_state()
    assert adapted.adapter_parameters(), "taking the merged state leaves the model as it is"
    plain.load_state_dict(state)
    adapted.merge()
    assert not adapted.adapter_parameters()
    assert all(torch.equal(tensor, state[name]) for name, tensor in adapted.state_dict().items())
    assert all(parameter.requires_grad for parameter in adapted.backbone_parameters() if parameter.any())
    for model in (plain, adapted):
        after = predict(model, graph)
        torch.testing.assert_close(after.energy, before.energy, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(after.forces, before.forces, rtol=1e-9, atol=1e-11)


def test_the_seed_makes_the_adapters(borrow_model, architecture):
    models = [borrow_model(architecture, seed=seed) for seed in (1, 1, 2)]
    for model in models:
        model.adapt(Lora(rank=2))
    one, same, other = (torch.cat([factor.flatten() for factor in model.adapter_parameters()]) for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_rank_beyond_a_matrix_is_its_own(borrow_model, architecture, make_graph, molecules):
    model = borrow_model(architecture)
    model.adapt(Lora(rank=1000))
    assert max(min(factor.shape) for factor in model.adapter_parameters()) <= 64
    model.merge()
    graph = make_graph(*molecules)
    assert torch.equal(predict(model, graph).energy, predict(borrow_model(architecture), graph).energy)
