"""Quick building changes no bit: neither of the weights, nor of the constants, nor of what the model computes."""

import contextlib

import pytest
import torch

from mfsweep.models.architecture import Shape
from mfsweep.models.mace import Mace, network
from mfsweep.train.bench import molecules
from mfsweep.train.tensors import Sender

ELEMENTS = (1, 6, 7, 8)


def built(spec, dtype):
    offsets = {"cc": dict.fromkeys(ELEMENTS, 0.0)}
    return network.MacePotential(spec, Shape(("cc",), ELEMENTS, 8.0, {}), offsets, seed=3, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_built_quickly_is_the_same_to_the_last_bit(monkeypatch, dtype):
    spec = Mace(channels=4, max_L=1, max_ell=2, correlation=2, radial_hidden=(8,), r_max=3.0)
    built(spec, dtype)  # its constants are known from now on
    quick = built(spec, dtype)
    monkeypatch.setattr(network, "quickly", lambda own_layers: contextlib.nullcontext())  # noqa: ARG005 (a keyword)
    slow = built(spec, dtype)
    for name, tensor in slow.state_dict().items():
        assert torch.equal(tensor, quick.state_dict()[name]), name
    graph = Sender(ELEMENTS, dtype, torch.device("cpu")).labelled(molecules(2, 3.0, forces=True)).graph
    slow_found, found = slow(graph, "cc", forces=True), quick(graph, "cc", forces=True)
    assert torch.equal(slow_found.energy, found.energy)
    assert torch.equal(slow_found.forces, found.forces)


def test_constants_that_one_model_changes_stay_as_they_are_for_the_next():
    spec = Mace(channels=2, max_L=0, max_ell=1, correlation=2, radial_hidden=(8,), r_max=3.0)
    for buffer in built(spec, torch.float32).buffers():
        if buffer.is_floating_point():
            buffer.fill_(7)
    couplings = [tensor for name, tensor in built(spec, torch.float32).named_buffers() if "U_matrix" in name]
    assert couplings
    assert not any((tensor == 7).any() for tensor in couplings)
