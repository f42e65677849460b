"""Each further architecture of the environment goes through stages that start from each other, in all ways."""

from __future__ import annotations

import pytest
import torch
from architectures import SPECS

from mfsweep.models.architecture import Shape
from mfsweep.models.registry import ARCHITECTURES, build
from mfsweep.spec.stage import Lora, LossWeights
from mfsweep.train import load_weights, restore
from mfsweep.train.bench import ELEMENTS, molecules
from mfsweep.train.compiled import Compiled
from mfsweep.train.step import Task, find, moving
from mfsweep.train.tensors import Sender

# The first is what all other tests of this folder train.
_, *OTHERS = [name for name, own in ARCHITECTURES.items() if not own.PINS]


@pytest.fixture(params=OTHERS)
def small(request):
    return next(iter(SPECS[request.param].values()))


def test_stages_of_an_architecture_start_from_each_other(run, tiny, tmp_path, small):
    """Pre-trained on one method; two heads by adapters; readouts alone; and the first as a file from outside."""
    common = {"model": small, "precision": "float64"}

    def kept(name):
        return tmp_path / name / "checkpoints" / "selected.pt"

    pretrained = run(tiny("dft", **common), "pretrained")
    assert pretrained.parameters == small.parameters(4, [(small.readout_hidden,)])
    by_adapters = tiny("both", parent="pretrained", trainable="lora", lora=Lora(rank=2), **common)
    run(by_adapters, "adapted", parent=kept("pretrained"))
    run(tiny("cc", parent="adapted", trainable="readouts", **common), "frozen", parent=kept("adapted"))
    run(tiny("cc", file="f" * 64, **common), "outside", parent=kept("pretrained"))
    models = {name: restore(load_weights(kept(name))) for name in ("pretrained", "adapted", "frozen", "outside")}

    def backbone(name):
        return torch.cat([parameter.flatten() for parameter in models[name].backbone_parameters()])

    assert models["adapted"].shape.heads == ("cc", "dft")
    assert torch.equal(backbone("frozen"), backbone("adapted"))
    assert not torch.equal(backbone("adapted"), backbone("pretrained"))
    assert not torch.equal(backbone("outside"), backbone("pretrained"))


@pytest.mark.slow
def test_a_step_is_traced_once_for_batches_of_all_sizes(small, monkeypatch):
    """As torch.compile and CUDA graphs need it; what is traced is run as it is, without a compilation."""
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    offsets = {"bench": dict.fromkeys(ELEMENTS, 0.0)}
    model = build(small, Shape(("bench",), ELEMENTS, 12.0), offsets, seed=0, dtype=torch.float64).train()
    send = Sender(ELEMENTS, torch.float64, torch.device("cpu")).labelled
    backend, task = Compiled(model, dynamic=True), Task("bench", True, LossWeights())
    for number in (3, 5):
        batch = send(molecules(number, small.r_max, forces=True))
        traced, plain = backend(batch, task), find(model, list(moving(model).values()), batch, task)
        torch.testing.assert_close(traced.loss, plain.loss)
        torch.testing.assert_close(list(traced.gradients), list(plain.gradients))
