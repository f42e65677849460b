"""What a training may change and what stays as its parent left it, over whole trainings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mfsweep.spec.stage import Lora, LossWeights, Rates, Schedule
from mfsweep.train import World, errors, load_weights, predict, restore, train
from mfsweep.train.checkpoint import load

FROZEN = {"trainable": "readouts", "parent": "parent", "precision": "float64"}
ADAPTED = {"trainable": "lora", "lora": Lora(rank=2), "parent": "parent", "precision": "float64"}


@pytest.fixture(scope="module")
def parent(dataset, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    training = tiny("dft", precision="float64", seed=4)
    places = {"checkpoints": folder, "metrics": folder / "metrics.jsonl", "parent": None}
    train(training, dataset, **places, world=World.alone(), report=lambda _: True)
    return folder / "selected.pt"


def changed(before, after):
    """Return the names of the backbone's parameters, and of all buffers, that are not the same bits."""
    models = [restore(load_weights(path)) for path in (before, after)]
    readouts = {id(parameter) for model in models for parameter in model.readout_parameters()}
    own, others = (dict(model.named_parameters()) for model in models)
    moved = {name for name, value in own.items() if id(value) not in readouts and not torch.equal(value, others[name])}
    buffers = [
        # The table of energy offsets is not learned: it is the child's own.
        {name: value for name, value in model.named_buffers() if "atomic_energies" not in name}
        for model in models
    ]
    assert buffers[0].keys() == buffers[1].keys()
    return moved, {name for name, value in buffers[0].items() if not torch.equal(value, buffers[1][name])}


def readouts_of(path):
    return torch.cat([parameter.flatten() for parameter in restore(load_weights(path)).readout_parameters()])


@pytest.mark.parametrize("sets", ["cc", "dft"], ids=["energies", "energies and forces"])
def test_a_frozen_backbone_keeps_its_bits(run, tiny, tmp_path, parent, sets):
    training = tiny(sets, max_steps=9, **FROZEN)
    whole = run(training, "whole", parent=parent)
    assert run(training, "stopped", parent=parent, report=lambda _: False) is None
    resumed = run(training, "stopped", parent=parent)
    assert resumed._replace(seconds=0) == whole._replace(seconds=0)
    for name in ("whole", "stopped"):
        child = tmp_path / name / "checkpoints" / "selected.pt"
        assert changed(parent, child) == (set(), set())
        assert not torch.equal(readouts_of(child), readouts_of(parent))
    assert (
        whole.parameters
        == len(readouts_of(parent))
        < sum(own.numel() for own in restore(load_weights(parent)).parameters())
    )


@pytest.mark.parametrize(("sets", "fields"), [("dft", FROZEN), ("both", ADAPTED)], ids=["readouts", "adapters"])
def test_two_ranks_and_a_killed_training_give_what_one_does(run, ranks, tiny, tmp_path, parent, sets, fields):
    training = tiny(sets, **fields)
    run(training, "one", parent=parent)
    assert ranks(training, tmp_path / "two", size=2, parent=parent) == [0, 0]
    assert ranks(training, tmp_path / "killed", parent=parent, kill_at=12) != [0]
    assert load(tmp_path / "killed" / "checkpoints" / "last.pt")["step"] == 3
    run(training, "killed", parent=parent)
    files = {path.name for path in (tmp_path / "one" / "checkpoints").glob("*.pt")} - {"last.pt"}
    assert files == ({"selected.pt"} if sets == "dft" else {"selected.pt", "best.cc.pt", "best.dft.pt"})
    for file in files:
        one, two, killed = (load_weights(tmp_path / name / "checkpoints" / file) for name in ("one", "two", "killed"))
        for name, value in one.state.items():
            assert torch.equal(killed.state[name], value)
            torch.testing.assert_close(two.state[name], value, rtol=1e-8, atol=1e-10)
    if fields is FROZEN:
        for name in ("two", "killed"):
            assert changed(parent, tmp_path / name / "checkpoints" / "selected.pt") == (set(), set())


def test_adapters_are_merged_into_what_is_kept(run, tiny, tmp_path, parent, dataset):
    """The kept model is plain, computes what was validated, and differs from the parent by matrices of low rank."""
    outcome = run(tiny("both", learning_rate=0.05, **ADAPTED), "child", parent=parent)
    for head, kept in outcome.heads.items():
        child = load_weights(tmp_path / "child" / kept.file)
        assert child.state.keys() == load_weights(parent).state.keys()
        indices = dataset.validation(head, ["a" if head == "cc" else "b"])
        found = predict(
            restore(child), dataset, indices, head, offsets=child.offsets[head], forces=head == "dft", max_atoms=40
        )
        for quantity, value in errors(found).items():
            assert outcome.metrics[f"validation.{head}.{quantity}"] == pytest.approx(value, rel=1e-9)
    before, after = (
        dict(restore(load_weights(path)).named_parameters()) for path in (parent, tmp_path / "child" / kept.file)
    )
    moved, _ = changed(parent, tmp_path / "child" / kept.file)
    assert moved
    radial = next(name for name in moved if before[name].ndim == 2 and min(before[name].shape) > 2)
    assert np.linalg.matrix_rank((after[radial] - before[radial]).detach().numpy(), tol=1e-12) <= 2


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


def test_energies_enter_no_training_on_forces_alone(run, tiny, dataset, tmp_path):
    energy = dataset.structures.labels["dft"].energy
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
