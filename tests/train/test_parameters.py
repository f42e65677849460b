from __future__ import annotations

import pytest
import torch

from mfsweep.models.architecture import Shape
from mfsweep.models.registry import build
from mfsweep.spec.stage import Lora, Rates
from mfsweep.train.parameters import Flat, trained


@pytest.fixture
def model(tiny):
    return build(tiny().model, Shape(("cc", "dft"), (1, 8), 3.0), {"cc": {}, "dft": {}}, seed=0, dtype=torch.float32)


def names(model, parameters):
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    return {known[id(parameter)] for parameter in parameters}


def test_adam_on_the_flat_tensor_is_adam_on_each():
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1))
    other = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1))
    other.load_state_dict(one.state_dict())
    flat = Flat([list(one.parameters())])
    assert flat.count == sum(parameter.numel() for parameter in other.parameters())
    adams = [torch.optim.Adam(flat.groups, fused=True), torch.optim.Adam(other.parameters(), fused=True)]
    for _ in range(3):
        x = torch.randn(7, 3)
        flat.gradients.zero_()
        adams[1].zero_grad()
        for model in (one, other):
            model(x).square().sum().backward()
        for adam in adams:
            adam.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_snapshot_brings_the_module_back():
    module = torch.nn.Linear(2, 2)
    flat = Flat([list(module.parameters())])
    kept, before = flat.snapshot(), module.weight.clone()
    with torch.no_grad():
        module.weight.mul_(2)
    assert not torch.equal(module.weight, before)
    flat.load(kept)
    assert torch.equal(module.weight, before)


def test_groups_move_at_their_own_rates():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    flat = Flat([[one.bias], [one.weight]])
    assert flat.count == 8
    adams = [
        torch.optim.Adam([{"params": [flat.groups[0]], "lr": 0.1}, {"params": [flat.groups[1]], "lr": 0.01}]),
        torch.optim.Adam([{"params": [other.bias], "lr": 0.1}, {"params": [other.weight], "lr": 0.01}]),
    ]
    for module, adam in zip((one, other), adams, strict=True):
        module(torch.ones(4, 3)).square().sum().backward()
        adam.step()
    assert torch.equal(one.bias, other.bias)
    assert torch.equal(one.weight, other.weight)


def test_a_recipe_says_what_moves_and_how_fast(tiny, model):
    backbone, readouts = (names(model, own) for own in (model.backbone_parameters(), model.readout_parameters()))
    (whole,) = trained(model, tiny().recipe)
    assert [id(own) for own in whole.parameters] == [id(own) for own in model.parameters()]
    groups = trained(model, tiny(learning_rate=Rates(backbone=1e-4, readouts=1e-2)).recipe)
    assert [(group.rate, names(model, group.parameters)) for group in groups] == [(1e-4, backbone), (1e-2, readouts)]
    frozen = [{"trainable": "readouts"}, {"learning_rate": Rates(backbone=0.0, readouts=1e-2)}]
    for recipe in frozen:
        (only,) = trained(model, tiny(**recipe).recipe)
        assert names(model, only.parameters) == readouts
        moving = {name for name, own in model.named_parameters() if own.requires_grad}
        assert moving == readouts


def test_adapters_train_in_the_place_of_the_backbone(tiny, model):
    recipe = tiny(trainable="lora", lora=Lora(rank=2), learning_rate=Rates(backbone=1e-3, readouts=1e-2)).recipe
    adapters, readouts = trained(model, recipe)
    assert names(model, adapters.parameters) == names(model, model.adapter_parameters())
    assert adapters.rate == 1e-3
    assert names(model, readouts.parameters) == names(model, model.readout_parameters())
    assert not any(own.requires_grad for own in model.backbone_parameters())
