from __future__ import annotations

import torch

from mfsweep.train.parameters import Flat


def test_adam_on_the_flat_tensor_is_adam_on_each():
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1))
    other = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1))
    other.load_state_dict(one.state_dict())
    flat = Flat(one)
    assert flat.count == sum(parameter.numel() for parameter in other.parameters())
    adams = [torch.optim.Adam([flat.values], fused=True), torch.optim.Adam(other.parameters(), fused=True)]
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
    flat = Flat(module)
    kept, before = flat.snapshot(), module.weight.clone()
    with torch.no_grad():
        module.weight.mul_(2)
    assert not torch.equal(module.weight, before)
    flat.load(kept)
    assert torch.equal(module.weight, before)
