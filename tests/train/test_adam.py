"""Adam of our own against PyTorch's: the same bits, and one form of state."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.train.adam import Adam

DTYPES = [torch.float32, torch.float64]


def pair(dtype, seed, sizes=(48, 1)):
    """Return PyTorch's and our own on copies of the same parameters, and what draws the same gradients for both."""
    generator = torch.Generator().manual_seed(seed)
    theirs = [torch.nn.Parameter(torch.randn(size, dtype=dtype, generator=generator)) for size in sizes]
    ours = [torch.nn.Parameter(parameter.detach().clone()) for parameter in theirs]
    rates = [0.01, 0.3]
    groups = [{"params": [parameter], "lr": rate} for parameter, rate in zip(theirs, rates, strict=True)]

    def draw():
        for one, other in zip(theirs, ours, strict=True):
            one.grad = torch.randn(one.shape, dtype=dtype, generator=generator)
            other.grad = one.grad.clone()

    return theirs, ours, torch.optim.Adam(groups, fused=True), Adam(ours, rates), draw


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), drops=st.lists(st.booleans(), min_size=1, max_size=8))
def test_steps_are_those_of_pytorch_bit_for_bit(dtype, seed, drops):
    theirs, ours, reference, adam, draw = pair(dtype, seed)
    for drop in drops:
        if drop:
            adam.rates = [rate * 0.5 for rate in adam.rates]
            for group in reference.param_groups:
                group["lr"] *= 0.5
        draw()
        reference.step()
        adam.step()
        assert all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_either_goes_on_from_the_state_of_the_other(dtype):
    theirs, ours, reference, adam, draw = pair(dtype, seed=1)
    for _ in range(3):
        draw()
        reference.step()
    with torch.no_grad():
        for one, other in zip(theirs, ours, strict=True):
            other.copy_(one)
    reference.param_groups[1]["lr"] = 0.2
    adam.load_state_dict(reference.state_dict())
    draw()
    reference.step()
    adam.step()
    states = reference.state_dict()["state"], adam.state_dict()["state"]
    assert all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True))
    assert all(torch.equal(states[0][place][name], states[1][place][name]) for place in (0, 1) for name in states[1][0])
    restored = torch.optim.Adam([{"params": [parameter]} for parameter in theirs], fused=True)
    restored.load_state_dict({**reference.state_dict(), "state": copy.deepcopy(adam.state_dict()["state"])})
    draw()
    restored.step()
    adam.step()
    assert all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True))


def test_a_state_that_was_dumped_is_none_that_goes_on():
    _, ours, _, adam, draw = pair(torch.float32, seed=2)
    draw()
    adam.step()
    other = Adam(ours, [0.0, 0.0])
    other.load_state_dict(adam.state_dict())
    draw()
    adam.step()
    assert other.rates == adam.rates
    assert [state["step"].item() for state in other.state_dict()["state"].values()] == [1, 1]
