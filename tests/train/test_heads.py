"""Readout heads and label methods: several of each, and not always one for one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mfsweep.data.source import resolve
from mfsweep.data.view import open_view
from mfsweep.spec.data import Difference
from mfsweep.spec.stage import Head, LabelledSet, LossWeights
from mfsweep.train import load_weights, predict, restore

MERGED = (
    LabelledSet(labels="cc", subset="a", size=30, probability=0.4),
    LabelledSet(labels="dft", subset="b", size=40, probability=0.6, head="cc"),
)


def kept(tmp_path, name, file="selected.pt"):
    return load_weights(tmp_path / name / "checkpoints" / file)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 0.99])
def test_alpha_realises_as_asked(run, tiny, tmp_path, alpha):
    """Batches within four standard deviations of a binomial; structures and atoms are counted, not assumed."""
    sets = (
        LabelledSet(labels="cc", subset="a", size=30, probability=1 - alpha),
        LabelledSet(labels="dft", subset="b", size=40, probability=alpha),
    )
    energies = {"cc": LossWeights(forces=0.0), "dft": LossWeights(forces=0.0)}
    steps, batches = 15, 8
    outcome = run(tiny(sets, loss=energies, max_steps=steps, validate_every=15, batch={"batches_per_step": batches}))
    target, auxiliary = outcome.shares
    number = steps * batches
    assert target.batches + auxiliary.batches == number
    assert (target.requested, auxiliary.requested) == (1 - alpha, alpha)
    assert abs(auxiliary.batches - alpha * number) <= 4 * math.sqrt(number * alpha * (1 - alpha))
    last = json.loads((tmp_path / "stage" / "metrics.jsonl").read_text().splitlines()[-1])["metrics"]
    for name in ("batches", "structures", "atoms"):
        own, other = getattr(auxiliary, name), getattr(target, name)
        assert last[f"share.dft.b.{name}"] == own / (own + other)
    # A batch holds about as many atoms of either, so their shares follow the batches'.
    assert last["share.dft.b.atoms"] == pytest.approx(last["share.dft.b.batches"], abs=0.15)


def test_two_methods_may_train_one_head(run, tiny, view, tmp_path):
    outcome = run(tiny(MERGED))
    assert set(outcome.heads) == {"cc"}
    assert outcome.heads["cc"] == outcome.selected
    assert {"validation.cc.energy_mae", "validation.dft.energy_mae", "validation.dft.force_mae"} <= set(outcome.metrics)
    assert outcome.offsets == {method: view.offsets(method, ()) for method in ("cc", "dft")}
    weights = kept(tmp_path, "stage")
    assert weights.heads == ["cc"]
    assert weights.offsets == {"cc": outcome.offsets["cc"]}
    # The one head serves both methods, each with its own offsets.
    for method in ("cc", "dft"):
        indices = view.validation(method, ["a" if method == "cc" else "b"])
        offsets = outcome.offsets[method]
        found = predict(restore(weights), view, indices, method, offsets=offsets, forces=False, head="cc")
        error = 1000 * np.abs((found.energy_predicted - found.energy_reference) / found.atoms).mean()
        assert error == pytest.approx(outcome.metrics[f"validation.{method}.energy_mae"], rel=1e-3)


def test_a_head_of_two_methods_beside_another_keeps_its_own_best(run, tiny, tmp_path):
    """The other one learns a difference, which is a label method like any other."""
    cc, dft = MERGED
    sets = (
        cc.but(probability=0.2),
        LabelledSet(labels="cc-dft", subset="a", size=30, probability=0.5),
        dft.but(probability=0.3),
    )
    data = tiny().data.but(derived={"cc-dft": Difference(target="cc", minus="dft")})
    loss = tiny().recipe.loss | {"cc-dft": LossWeights(energy=100.0, forces=0.0)}
    outcome = run(tiny(sets, data=data, loss=loss), on=open_view({"": resolve("bundled:mini-ccx", tmp_path)}, data))
    assert outcome.heads["cc"].metric == "0.4 validation.cc.loss + 0.6 validation.dft.loss"
    assert outcome.heads["cc-dft"].metric == "validation.cc-dft.loss"
    for head, best in outcome.heads.items():
        assert kept(tmp_path, "stage", Path(best.file).name).step == best.step, head
    own, other = (outcome.metrics[f"validation.{method}.loss"] for method in ("cc", "dft"))
    assert outcome.heads["cc"].value == pytest.approx(0.4 * own + 0.6 * other)
    # Most of what the methods differ by is in their offsets: the difference is the easier one to learn.
    assert outcome.metrics["validation.cc-dft.energy_mae"] < outcome.metrics["validation.cc.energy_mae"]


def test_heads_start_where_they_are_told(run, tiny, view, tmp_path):
    """By name in place of the rule, fresh from the seed, or fresh and wider; the backbone is the parent's each time."""
    run(tiny("both"), "parent")
    path = tmp_path / "parent" / "checkpoints" / "selected.pt"
    variants = {
        "rule": None,
        "named": {"cc": Head(source="dft")},
        "fresh": {"cc": Head(source="fresh")},
        "wider": {"cc": Head(source="fresh", hidden=(8, 6))},
    }
    for name, heads in variants.items():
        run(tiny("cc", parent="x", max_steps=1, learning_rate=1e-12, seed=9, heads=heads), name, parent=path)
    parent = kept(tmp_path, "parent")
    zero = dict.fromkeys(view.elements, 0.0)

    def energies(weights, head):
        model = restore(weights)
        return predict(model, view, np.arange(5), "cc", offsets=zero, forces=False, head=head).energy_predicted

    np.testing.assert_allclose(energies(kept(tmp_path, "rule"), "cc"), energies(parent, "cc"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(energies(kept(tmp_path, "named"), "cc"), energies(parent, "dft"), rtol=1e-4, atol=1e-5)
    for name in ("fresh", "wider"):
        for head in ("cc", "dft"):
            assert np.abs(energies(kept(tmp_path, name), "cc") - energies(parent, head)).max() > 1e-3
    wider = kept(tmp_path, "wider")
    assert wider.shape.hidden == {"cc": (8, 6)}
    theirs, ours = (restore(weights).backbone_parameters() for weights in (parent, wider))
    for value, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-9)


def test_a_child_takes_the_width_of_its_parents_head(run, tiny, tmp_path):
    run(tiny("cc", heads={"cc": Head(hidden=(6,))}, max_steps=1), "parent")
    path = tmp_path / "parent" / "checkpoints" / "selected.pt"
    run(tiny("cc", parent="x", heads={"cc": Head(hidden=(6,))}, max_steps=1), "child", parent=path)
    assert kept(tmp_path, "child").shape.hidden == {"cc": (6,)}


def test_a_weighted_mean_selects(run, tiny):
    wanted = {"validation.cc.energy_mae": 3.0, "validation.dft.force_mae": 1.0}
    seen = []
    outcome = run(tiny(select_on=wanted, max_steps=12), report=lambda progress: seen.append(progress) or True)
    means = [
        0.75 * progress.validation["validation.cc.energy_mae"] + 0.25 * progress.validation["validation.dft.force_mae"]
        for progress in seen
    ]
    assert outcome.selected.value == pytest.approx(min(means))
    assert outcome.selected.step == seen[int(np.argmin(means))].step
    assert {head: best.metric for head, best in outcome.heads.items()} == {
        "cc": "validation.cc.loss",
        "dft": "validation.dft.loss",
    }
