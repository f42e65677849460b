from __future__ import annotations

import numpy as np
import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.models import outside
from mfsweep.models.architecture import Shape
from mfsweep.models.registry import build
from mfsweep.spec.stage import LabelledSet
from mfsweep.train import World, load_weights, parent, predict, restore
from mfsweep.train.referencing import refer


def per_element(model, view, method, head, offsets, elements):
    """Return what least squares find of label - offsets - prediction for each element, eV."""
    indices, _ = view.fit_set(method, ())
    found = predict(model, view, indices, method, offsets=offsets, forces=False, head=head, max_atoms=400)
    counts = view.structures.counts(indices, elements).astype(np.float64)
    return np.linalg.lstsq(counts, found.energy_reference - found.energy_predicted, rcond=None)[0]


def test_the_shifts_leave_no_part_per_element(view, tiny):
    """The model knows more elements than the data: nothing is said of them."""
    training = tiny("both", precision="float64")
    elements = (*view.elements, 16)
    offsets = {method: view.offsets(method, ()) for method in training.methods}
    model = build(training.model, Shape(("cc", "dft"), elements, 8.0), offsets, seed=0, dtype=torch.float64)
    before = per_element(model, view, "dft", "dft", offsets["dft"], elements)
    assert np.abs(before).max() > 1e-3
    refer(model, ["dft"], view, training, offsets, World.alone())
    np.testing.assert_allclose(model.shifts[1, : len(view.elements)], before[:-1], atol=1e-9)
    after = per_element(model, view, "dft", "dft", offsets["dft"], elements)
    np.testing.assert_allclose(after, 0, atol=1e-9)
    assert not model.shifts[0].any()
    assert model.shifts[1, -1] == 0


def test_two_methods_of_one_head_share_its_shifts(view, tiny):
    sets = (
        LabelledSet(labels="cc", subset="a", size=30, probability=0.5),
        LabelledSet(labels="dft", subset="b", size=40, probability=0.5, head="cc"),
    )
    training = tiny(sets, precision="float64")
    offsets = {method: view.offsets(method, ()) for method in training.methods}
    model = build(training.model, Shape(("cc",), view.elements, 8.0), offsets, seed=0, dtype=torch.float64)
    refer(model, ["cc"], view, training, offsets, World.alone())
    residuals = [per_element(model, view, method, "cc", offsets[method], view.elements) for method in ("cc", "dft")]
    np.testing.assert_allclose(sum(residuals), 0, atol=1e-9)  # both are fitted on the same structures here


@pytest.fixture
def file(run, tiny, tmp_path):
    """A model that another store's training gave."""
    run(tiny("dft", precision="float64"), "elsewhere")
    return tmp_path / "elsewhere" / "checkpoints" / "selected.pt"


def test_a_file_of_ours_is_what_its_stage_would_be_as_a_parent(run, tiny, tmp_path, file):
    run(tiny("cc", file="0" * 64), "by file", parent=file)
    run(tiny("cc", parent="x"), "by stage", parent=file)
    one, other = (load_weights(tmp_path / name / "checkpoints" / "selected.pt") for name in ("by file", "by stage"))
    assert not one.state["shifts"].any()
    assert all(torch.equal(other.state[name], value) for name, value in one.state.items())


def test_a_file_with_a_reference_of_its_own_is_moved_to_the_labels(run, tiny, tmp_path, file, view, monkeypatch):
    """Shifts stay in the kept model, go on to its children, and come back bit for bit on resuming."""
    found = outside.read(file)._replace(reference="its own")
    monkeypatch.setattr(parent.outside, "read", lambda _: found)
    training = tiny("both", file="0" * 64, precision="float64")
    whole = run(training, "whole", parent=file)
    assert run(training, "stopped", parent=file, report=lambda _: False) is None
    assert run(training, "stopped", parent=file)._replace(seconds=0) == whole._replace(seconds=0)
    weights = load_weights(tmp_path / "whole" / "checkpoints" / "selected.pt")
    assert weights.state["shifts"].all()
    run(tiny("cc", parent="x", precision="float64"), "child", parent=tmp_path / "whole" / "checkpoints" / "selected.pt")
    child = load_weights(tmp_path / "child" / "checkpoints" / "selected.pt")
    assert torch.equal(child.state["shifts"][0], weights.state["shifts"][0])
    fresh = run(tiny("both", precision="float64"), "fresh")
    assert whole.metrics["validation.cc.energy_mae"] < 2 * fresh.metrics["validation.cc.energy_mae"]
    assert set(restore(child).shape.elements) == set(view.elements)


def test_a_file_of_another_model_is_refused_with_what_to_write(run, tiny, file):
    training = tiny("cc", file="0" * 64)
    other = training.but(model=training.model.but(channels=8))
    with pytest.raises(TrainingError, match=r"(?s)channels \(4, expected 8\).*architecture: mace.*channels: 4"):
        run(other, parent=file)
