"""Before its first step a child computes what its parent does, or the training ends there."""

from __future__ import annotations

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.models import outside
from mfsweep.models.mace.network import MacePotential
from mfsweep.spec.stage import Head, Lora


@pytest.fixture
def parent(run, tiny, tmp_path):
    """Return the checkpoint of a training of two heads."""
    run(tiny("both", max_steps=3), "parent")
    return tmp_path / "parent" / "checkpoints" / "selected.pt"


CHILDREN = {
    "fine-tuning": ("cc", {}, 1),
    "both heads": ("both", {}, 2),
    "readouts": ("cc", {"trainable": "readouts"}, 1),
    "adapters": ("cc", {"trainable": "lora", "lora": Lora()}, 1),
    "double precision": ("cc", {"precision": "float64"}, 1),
    "one head of another name": ("cc", {"heads": {"cc": Head.model_validate({"from": "dft"})}}, 1),
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_equals_its_parent_at_step_zero_and_the_record_says_so(run, tiny, parent, child):
    sets, fields, heads = CHILDREN[child]
    outcome = run(tiny(sets, parent="x", max_steps=1, seed=7, **fields), "child", parent=parent)
    assert outcome.inherited.heads == heads
    assert outcome.inherited.structures == 4
    assert outcome.inherited.energy < 1e-5
    assert outcome.inherited.forces < 1e-4


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_whose_methods_have_vectors_equals_its_parent_too(run, tiny, tmp_path, child):
    conditioned = {"model": tiny().model.but(conditioning="embedding")}
    run(tiny("both", max_steps=3, **conditioned), "parent")
    parent = tmp_path / "parent" / "checkpoints" / "selected.pt"
    sets, fields, heads = CHILDREN[child]
    outcome = run(tiny(sets, parent="x", max_steps=1, seed=7, **conditioned, **fields), "child", parent=parent)
    assert outcome.inherited.heads == heads
    assert outcome.inherited.energy < 1e-5
    assert outcome.inherited.forces < 1e-4


def test_without_a_parent_or_with_fresh_heads_there_is_nothing_to_compare(run, tiny, parent):
    assert run(tiny("cc", max_steps=1), "first").inherited is None
    fresh = {"cc": Head.model_validate({"from": "fresh"})}
    assert run(tiny("cc", parent="x", max_steps=1, heads=fresh), "second", parent=parent).inherited is None


@pytest.mark.parametrize("part", ["backbone", "readouts", "shifts"])
def test_weights_that_do_not_all_come_over_end_the_training(run, tiny, parent, monkeypatch, part):
    """Whatever is lost on the way: a part of the backbone, the wrong head, or its shifts."""
    whole = MacePotential.adopt

    @torch.no_grad()
    def partly(self, state, shape, sources):
        whole(self, state, shape, sources)
        if part == "shifts":
            self.shifts += 0.1
            return
        tensors = self.backbone_parameters() if part == "backbone" else self.readout_parameters()
        max(tensors, key=torch.numel).mul_(1.5)

    monkeypatch.setattr(MacePotential, "adopt", partly)
    with pytest.raises(TrainingError, match=r"before its first step the model differs from .*selected\.pt.* eV/atom"):
        run(tiny("cc", parent="x", max_steps=1), "child", parent=parent)


def test_energies_against_another_reference_are_compared_without_their_shifts(run, tiny, parent, monkeypatch):
    """A model from outside stands against its own atoms' energies; ours are fitted anew."""
    found = outside.read(parent)
    state = dict(found.state) | {"shifts": found.state["shifts"] + 3.0}
    monkeypatch.setattr("mfsweep.train.parent.outside.read", lambda _: found._replace(state=state, reference="its own"))
    outcome = run(tiny("cc", file="f" * 64, max_steps=1), "child", parent=parent)
    assert outcome.inherited.energy < 1e-5
    assert outcome.inherited.forces < 1e-4


def test_a_resumed_training_says_the_same(run, tiny, parent, tmp_path):
    training = tiny("cc", parent="x", max_steps=6, validate_every=3)
    assert run(training, "child", parent=parent, report=lambda _: False) is None
    resumed = run(training, "child", parent=parent)
    assert resumed.inherited == run(training, "other", parent=parent).inherited
