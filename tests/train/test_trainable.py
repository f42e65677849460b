"""What a training may change and what stays as its parent left it, over whole trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mfsweep.spec.stage import Lora, LossWeights, Rates, Schedule
from mfsweep.train import World, errors, load_weights, predict, restore, train
from mfsweep.train.checkpoint import load

FROZEN = {"trainable": "readouts", "parent": "parent", "precision": "float64"}
READOUTS = {f"network.readouts.{name}.weight" for name in ("0.linear", "1.linear_1", "1.linear_2")}
ADAPTED = {"trainable": "lora", "lora": Lora(rank=2), "parent": "parent", "precision": "float64"}


@pytest.fixture(scope="module")
def parent(view, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    training = tiny("dft", precision="float64", seed=4)
    places = {"checkpoints": folder, "metrics": folder / "metrics.jsonl", "parent": None}
    train(training, view, **places, world=World.alone(), report=lambda _: True)
    return folder / "selected.pt"


def changed(before, after):
    """Return the parameters and buffers that are not the same bits; the energy offsets are each stage's own."""
    one, other = (load_weights(path).state for path in (before, after))
    assert one.keys() == other.keys()
    return {name for name in one if "atomic_energies" not in name and not torch.equal(one[name], other[name])}


@pytest.mark.parametrize("sets", ["cc", "dft"], ids=["energies", "energies and forces"])
def test_a_frozen_backbone_keeps_its_bits(run, tiny, tmp_path, parent, sets):
    """So do all buffers: what is left are both readouts' weights."""
    outcome = run(tiny(sets, **FROZEN), parent=parent)
    assert changed(parent, tmp_path / "stage" / "checkpoints" / "selected.pt") == READOUTS
    assert outcome.parameters == sum(load_weights(parent).state[name].numel() for name in READOUTS)


def test_with_vectors_of_methods_a_frozen_backbone_leaves_those_and_the_readout_to_train(run, tiny, tmp_path):
    """A method that is new has a vector copied from the parent's only one, and learns from there."""
    model = tiny().model.but(conditioning="embedding")
    run(tiny("dft", model=model, precision="float64", seed=4), "parent")
    path = tmp_path / "parent" / "checkpoints" / "selected.pt"
    outcome = run(tiny("both", model=model, **FROZEN), "child", parent=path)
    before, after = (load_weights(tmp_path / name / "checkpoints" / "selected.pt") for name in ("parent", "child"))
    same = {name for name in before.state if torch.equal(before.state[name], after.state.get(name))}
    assert {name for name in before.state if "atomic_energies" not in name and name != "shifts"} - same == {
        "method_vectors",
        *READOUTS,
    }
    cc, dft = (after.state["method_vectors"][row] - before.state["method_vectors"][0] for row in (0, 1))
    assert cc.any()
    assert not torch.equal(cc, dft)
    assert outcome.parameters == sum(after.state[name].numel() for name in {"method_vectors", *READOUTS})


@pytest.mark.parametrize(("sets", "fields"), [("dft", FROZEN), ("both", ADAPTED)], ids=["readouts", "adapters"])
def test_two_ranks_and_a_killed_training_give_what_one_does(run, ranks, tiny, tmp_path, parent, sets, fields):
    training = tiny(sets, **fields)
    outcome = run(training, "one", parent=parent)
    assert ranks(training, tmp_path / "two", size=2, parent=parent) == [0, 0]
    assert ranks(training, tmp_path / "killed", parent=parent, kill_at=12) != [0]
    assert load(tmp_path / "killed" / "checkpoints" / "last.pt")["step"] == 3
    run(training, "killed", parent=parent)
    files = {path.name for path in (tmp_path / "one" / "checkpoints").glob("*.pt")} - {"last.pt"}
    assert files == {Path(kept.file).name for kept in (outcome.selected, *outcome.heads.values())}
    for file in files:
        one, two, killed = (load_weights(tmp_path / name / "checkpoints" / file) for name in ("one", "two", "killed"))
        for name, value in one.state.items():
            assert torch.equal(killed.state[name], value)
            torch.testing.assert_close(two.state[name], value, rtol=1e-8, atol=1e-10)
    if fields is FROZEN:
        for name in ("two", "killed"):
            assert changed(parent, tmp_path / name / "checkpoints" / "selected.pt") == READOUTS


def test_adapters_are_merged_into_what_is_kept(run, tiny, tmp_path, parent, view):
    """The kept model is plain, computes what was validated, and differs from the parent by matrices of low rank."""
    outcome = run(tiny("both", learning_rate=0.05, **ADAPTED), "child", parent=parent)
    for head, kept in outcome.heads.items():
        child = load_weights(tmp_path / "child" / kept.file)
        assert child.state.keys() == load_weights(parent).state.keys()
        indices = view.validation(head, ["a" if head == "cc" else "b"])
        found = predict(
            restore(child), view, indices, head, offsets=child.offsets[head], forces=head == "dft", max_atoms=40
        )
        for quantity, value in errors(found).items():
            assert outcome.best_metrics[f"validation.{head}.{quantity}"] == pytest.approx(value, rel=1e-9)
    before = load_weights(parent).state
    layer = "network.interactions.1.conv_tp_weights.layer1.weight"
    moved = (child.state[layer] - before[layer]).numpy()
    assert min(moved.shape) > 2
    assert np.linalg.matrix_rank(moved, tol=1e-12) == 2


def test_a_rate_of_zero_freezes(run, tiny, tmp_path, parent):
    run(tiny("cc", **FROZEN, learning_rate=1e-2), "frozen", parent=parent)
    rates = {"learning_rate": Rates(backbone=0.0, readouts=1e-2), "parent": "parent", "precision": "float64"}
    run(tiny("cc", **rates), "zero", parent=parent)
    one, other = (load_weights(tmp_path / name / "checkpoints" / "selected.pt") for name in ("frozen", "zero"))
    assert all(torch.equal(other.state[name], value) for name, value in one.state.items())


def test_a_plateau_lowers_every_rate(run, tiny, tmp_path, parent):
    schedule = Schedule(factor=0.5, patience_steps=2, stop_steps=20)
    rates = Rates(backbone=1e-12, readouts=2e-12)
    run(tiny("cc", max_steps=6, validate_every=2, schedule=schedule, learning_rate=rates, parent="x"), parent=parent)
    content = load(tmp_path / "stage" / "checkpoints" / "last.pt")
    backbone, readouts = (group["lr"] for group in content["optimizer"]["param_groups"])
    assert readouts == 2 * backbone == content["plateau"]["learning_rate"] < 2e-12


def test_forces_alone_can_be_learned_and_the_drift_of_energies_is_seen(run, tiny):
    """Two errors of one run: with the energies as they come, and after their best constant shift."""
    outcome = run(tiny("dft", loss={"dft": LossWeights(energy=0.0)}, max_steps=12, learning_rate=0.05))
    metrics = outcome.metrics
    assert metrics["validation.dft.loss"] == pytest.approx(1e-6 * metrics["validation.dft.force_rmse"] ** 2, rel=0.5)
    assert metrics["validation.dft.energy_mae_shifted"] <= metrics["validation.dft.energy_mae"]


def test_energies_enter_no_training_on_forces_alone(run, tiny, view, tmp_path):
    energy = view.structures.labels["dft"].energy
    training = tiny("dft", loss={"dft": LossWeights(energy=0.0)})
    run(training, "as they are")
    before = energy.copy()
    energy += np.linspace(0.0, 5.0, len(energy))
    try:
        run(training, "changed")
    finally:
        energy[:] = before
    one, other = (load_weights(tmp_path / name / "checkpoints" / "selected.pt") for name in ("as they are", "changed"))
    for name, value in one.state.items():
        assert torch.equal(other.state[name], value)
