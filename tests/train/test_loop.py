from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mfsweep.train.steps
from mfsweep.data.batch import assemble
from mfsweep.data.view import DataView
from mfsweep.errors import DataError, TrainingError
from mfsweep.spec.data import Subset
from mfsweep.spec.stage import LossWeights, Schedule
from mfsweep.train import errors, load_weights, predict, restore
from mfsweep.train.checkpoint import load
from mfsweep.train.validation import validation_of


def read(folder):
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_gives_what_a_record_needs(run, tiny, tmp_path):
    outcome = run(tiny("both"))
    assert (outcome.steps, outcome.stop_reason) == (6, "max_steps")
    assert outcome.selected.file == "checkpoints/selected.pt"
    assert set(outcome.heads) == {"cc", "dft"}
    assert outcome.heads["cc"].metric == "validation.cc.loss"
    assert {"validation.loss", "validation.cc.energy_mae", "validation.dft.force_mae"} <= outcome.metrics.keys()
    assert "validation.cc.force_mae" not in outcome.metrics
    assert [share.requested for share in outcome.shares] == [0.4, 0.6]
    assert sum(share.batches for share in outcome.shares) == 6 * 3
    assert set(outcome.offsets) == {"cc", "dft"}
    model = restore(load_weights(tmp_path / "stage" / "checkpoints" / "selected.pt"))
    assert sum(parameter.numel() for parameter in model.parameters()) == outcome.parameters


def test_training_lowers_the_loss(run, tiny):
    seen = []
    run(
        tiny("dft", max_steps=40, validate_every=10, learning_rate=0.1),
        report=lambda progress: seen.append(progress) or True,
    )
    losses = [progress.validation["validation.loss"] for progress in seen]
    assert losses[-1] < 0.8 * losses[0]
    assert seen[-1].step == 40
    assert seen[-1].structures_per_second > 0


def test_the_metrics_file_has_a_line_a_step_and_one_a_validation(run, tiny, tmp_path):
    shares = run(tiny("both", max_steps=5, validate_every=3)).shares
    lines = read(tmp_path / "stage")
    assert [entry["step"] for entry in lines] == [1, 2, 3, 3, 4, 5, 5]
    assert all("train.loss" in lines[row]["metrics"] for row in (0, 1, 2, 4, 5))
    last = lines[-1]["metrics"]
    assert {"validation.loss", "validation.cc.loss", "learning_rate", "structures_per_second"} <= last.keys()
    assert last["share.cc.a.requested"] == 0.4
    assert {name: value for name, value in last.items() if name.startswith("share.")} == {
        f"share.{own.labels}.{own.subset}.{name}": (
            own.requested if name == "requested" else getattr(own, name) / sum(getattr(all_, name) for all_ in shares)
        )
        for own in shares
        for name in ("requested", "batches", "structures", "atoms")
    }
    for name in ("batches", "structures", "atoms"):
        assert last[f"share.cc.a.{name}"] + last[f"share.dft.b.{name}"] == pytest.approx(1)
    passes = [entry["metrics"] for entry in lines if "pass.cc.a.structures" in entry["metrics"]]
    assert passes
    assert all(entry["pass.cc.a.structures"] == entry["pass.cc.a.expected"] == 30 for entry in passes)


def test_the_total_loss_weighs_methods_by_their_probability(run, tiny):
    metrics = run(tiny("both", max_steps=3)).metrics
    expected = 0.4 * metrics["validation.cc.loss"] + 0.6 * metrics["validation.dft.loss"]
    assert metrics["validation.loss"] == pytest.approx(expected)


def test_the_recorded_metrics_are_those_of_the_kept_checkpoints(run, tiny, view, tmp_path):
    """All methods' at the selected one, and each method's at the one that was best for its head."""
    training = tiny("both", precision="float64")
    outcome = run(training)
    kept = [(outcome.selected, head, outcome.metrics) for head in outcome.heads]
    kept += [(best, head, outcome.best_metrics) for head, best in outcome.heads.items()]
    assert len({best.step for best, *_ in kept}) > 1, "or it would not matter which"
    for best, head, metrics in kept:
        weights = load_weights(tmp_path / "stage" / best.file)
        assert weights.step == best.step
        predictions = predict(
            restore(weights),
            view,
            view.validation(head, [labelled.subset for labelled in training.sets if labelled.labels == head]),
            head,
            offsets=weights.offsets[head],
            forces=head == "dft",
        )
        for quantity, value in errors(predictions).items():
            assert metrics[f"validation.{head}.{quantity}"] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("select_on", [None, "validation.cc.energy_mae", "validation.dft.loss"])
def test_a_head_that_the_schedule_cut_is_told_from_one_that_has_converged(run, tiny, select_on):
    """Whatever the schedule follows: it is over for a head when that has not improved within the patience."""
    seen = []
    schedule = Schedule(factor=0.5, patience_steps=2, stop_steps=4)
    training = tiny("both", select_on=select_on, schedule=schedule, max_steps=80, validate_every=1, learning_rate=0.03)
    outcome = run(training, report=lambda progress: seen.append(progress) or True)
    assert outcome.stop_reason == "converged"
    assert set(outcome.head_reasons.values()) == {"converged", "improving"}, "or there would be nothing to tell"
    for head, reason in outcome.head_reasons.items():
        judged = [progress.validation[outcome.heads[head].metric] for progress in seen]
        still = len(judged) - 1 - judged.index(min(judged)) < schedule.patience_steps
        assert reason == ("improving" if still else "converged")
    capped = run(tiny("both", select_on=select_on, max_steps=3, validate_every=1), "capped")
    assert set(capped.head_reasons.values()) == {capped.stop_reason} == {"max_steps"}


@pytest.mark.parametrize("fields", [{"select_on": "validation.cc.loss"}, {}], ids=["of a head", "of all"])
def test_a_step_that_several_criteria_chose_is_written_once(run, tiny, tmp_path, fields):
    outcome = run(tiny("both", max_steps=24, validate_every=1, learning_rate=0.1, **fields))
    chosen = {outcome.selected.file: outcome.selected.step, **{kept.file: kept.step for kept in outcome.heads.values()}}
    assert len(set(chosen.values())) == len(chosen) > 1
    assert outcome.selected.file == "checkpoints/selected.pt"
    for kept in (outcome.selected, *outcome.heads.values()):
        assert load_weights(tmp_path / "stage" / kept.file).step == kept.step
    written = {path.name for path in (tmp_path / "stage" / "checkpoints").glob("*.pt")}
    assert written == {Path(file).name for file in chosen} | {"last.pt"}


@pytest.fixture
def forbid_forces(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("forces were computed")

    def energies_only(*args):
        assert not args[-1], "forces were gathered"
        return assemble(*args)

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    monkeypatch.setattr(mfsweep.train.steps, "assemble", energies_only)


@pytest.mark.usefixtures("forbid_forces")
def test_an_energy_only_method_never_computes_forces(run, tiny):
    assert run(tiny("cc")) is not None


@pytest.mark.usefixtures("forbid_forces")
def test_without_a_force_weight_forces_are_never_computed(run, tiny):
    outcome = run(tiny("dft", loss={"dft": LossWeights(forces=0.0)}))
    assert "validation.dft.force_mae" not in outcome.metrics


@pytest.mark.usefixtures("forbid_forces")
def test_with_a_force_weight_forces_are_computed(run, tiny):
    with pytest.raises(AssertionError, match="forces were"):
        run(tiny("dft"))


def test_a_child_starts_from_what_its_parent_selected(run, tiny, view, tmp_path):
    run(tiny("dft"), "parent")
    path = tmp_path / "parent" / "checkpoints" / "selected.pt"
    run(tiny("cc", parent="parent", max_steps=1, learning_rate=1e-12, seed=5), "child", parent=path)
    parent, child = load_weights(path), load_weights(tmp_path / "child" / "checkpoints" / "selected.pt")
    assert child.heads == ["cc"]
    assert child.avg_num_neighbors == parent.avg_num_neighbors
    assert child.offsets["cc"] == view.offsets("cc", ()) != parent.offsets["dft"]
    assert list(child.offsets) == ["cc"]
    indices, zero = np.arange(5), dict.fromkeys(view.elements, 0.0)
    ours, theirs = (
        predict(restore(weights), view, indices, "cc", offsets=zero, forces=False, head=head)
        for weights, head in ((child, "cc"), (parent, "dft"))
    )
    np.testing.assert_allclose(ours.energy_predicted, theirs.energy_predicted, rtol=1e-4, atol=1e-6)


def test_a_parent_of_another_size_is_refused(run, tiny, tmp_path):
    run(tiny("dft", max_steps=1), "parent")
    path = tmp_path / "parent" / "checkpoints" / "selected.pt"
    training = tiny("cc", parent="parent")
    wider = training.model_copy(update={"model": training.model.model_copy(update={"channels": 8})})
    with pytest.raises(TrainingError, match=r"differs from this stage's in channels \(4, expected 8\)"):
        run(wider, "child", parent=path)


def test_a_loss_that_is_not_finite_names_step_method_and_structures(run, tiny, tmp_path):
    text = r"the dft loss is not finite at step [23], .* conformer \d+ .*learning_rate"
    with pytest.raises(TrainingError, match=text):
        run(tiny("dft", learning_rate=1e30))
    assert not (tmp_path / "stage" / "checkpoints" / "last.pt").exists()


def test_a_report_that_says_stop_leaves_a_state_to_go_on_from(run, tiny, tmp_path):
    assert run(tiny("both"), "stopped", report=lambda _: False) is None
    assert load(tmp_path / "stopped" / "checkpoints" / "last.pt")["step"] == 3
    resumed, whole = run(tiny("both"), "stopped"), run(tiny("both"), "whole")
    assert resumed._replace(seconds=0) == whole._replace(seconds=0)


def cut_short(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damaged", "goes_on_from"),
    [(["last.pt"], 3), (["last.pt", "last.pt.before"], None), (["last.pt.before"], 6)],
    ids=["the last", "both", "the one before"],
)
def test_a_training_whose_last_state_is_damaged_goes_on_from_the_one_before_to_the_same_bits(
    run, tiny, tmp_path, caplog, damaged, goes_on_from
):
    training = tiny("both", max_steps=9)
    whole = run(training, "whole")
    assert run(training, "cut", report=lambda progress: progress.step < 6) is None
    checkpoints = tmp_path / "cut" / "checkpoints"
    for name in damaged:
        (checkpoints / name).write_bytes(cut_short((checkpoints / name).read_bytes()))
    steps = []
    outcome = run(training, "cut", report=lambda progress: steps.append(progress.step) or True)
    assert steps == list(range((goes_on_from or 0) + 3, 10, 3))
    assert outcome._replace(seconds=0) == whole._replace(seconds=0)
    same = [(tmp_path / name / "checkpoints" / "selected.pt").read_bytes() for name in ("whole", "cut")]
    assert same[0] == same[1]
    read_ones = [name for name in damaged if name == "last.pt" or "last.pt" in damaged]
    assert [(checkpoints / f"{name}.damaged-1").exists() for name in damaged] == [name in read_ones for name in damaged]
    said = "goes on from the one before" if goes_on_from == 3 or goes_on_from is None else ""
    assert (said in caplog.text) if said else ("set aside" not in caplog.text)
    if goes_on_from == 3:
        assert "the stage goes on from last.pt.before, of step 3" in caplog.text


def test_a_training_that_was_killed_between_two_states_goes_on_from_the_one_before(run, tiny, tmp_path):
    training = tiny("both", max_steps=9)
    run(training, "cut", report=lambda progress: progress.step < 6)
    (tmp_path / "cut" / "checkpoints" / "last.pt").unlink()
    steps = []
    run(training, "cut", report=lambda progress: steps.append(progress.step) or True)
    assert steps == [6, 9]


def test_a_finished_training_only_writes_what_is_missing(run, tiny, tmp_path):
    first = run(tiny("both"))
    selected = tmp_path / "stage" / "checkpoints" / "selected.pt"
    before = load_weights(selected)
    selected.unlink()
    again = run(tiny("both"), report=lambda _: pytest.fail("no step is left"))
    assert again == first
    assert all(load_weights(selected).state[name].equal(value) for name, value in before.state.items())


def test_the_checkpoint_of_another_training_is_refused(run, tiny):
    run(tiny("both"))
    with pytest.raises(TrainingError, match=r"expected .*remove the folder"):
        run(tiny("both", seed=1))


def test_a_plateau_lowers_the_rate_and_ends_the_training(run, tiny):
    rates = []
    schedule = Schedule(factor=0.5, patience_steps=2, stop_steps=6)
    training = tiny("cc", max_steps=None, validate_every=2, learning_rate=1e-12, schedule=schedule, precision="float32")
    outcome = run(training, report=lambda progress: rates.append(progress.learning_rate) or True)
    assert outcome.stop_reason == "converged"
    assert rates[-1] < rates[0]


def test_a_set_without_validation_structures_is_refused(view, run, tiny):
    splits = view.data.splits.model_copy(update={"a": Subset(size=60, validation=0, needs=("cc", "dft"))})
    bare = DataView(view._source, view.data.model_copy(update={"splits": splits}))
    with pytest.raises(DataError, match=r"no validation structures for cc: .*data.splits.a.validation"):
        validation_of(tiny("cc"), bare, "cc")


def test_the_mean_number_of_neighbours_depends_on_geometry_alone(run, tiny, tmp_path):
    for name in ("cc", "dft"):
        run(tiny(name, max_steps=1), name)
    found = {load_weights(tmp_path / name / "checkpoints" / "selected.pt").avg_num_neighbors for name in ("cc", "dft")}
    assert len(found) == 1
    assert 3 < found.pop() < 30
