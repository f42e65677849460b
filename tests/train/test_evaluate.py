from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.view import DataView
from mfsweep.errors import TrainingError
from mfsweep.models.architecture import Shape
from mfsweep.models.registry import build
from mfsweep.quantities import Quantity
from mfsweep.spec.stage import LabelledSet, LossWeights
from mfsweep.train import World, train
from mfsweep.train.evaluate import Predictions, chunks, errors, offsets_only, predict


@pytest.fixture
def model(view, tiny):
    shape = Shape(("cc", "dft"), view.elements, 8.0)
    return build(tiny().model, shape, {"cc": {}, "dft": {}}, seed=0, dtype=torch.float64)


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 60))
def test_chunks_hold_every_structure_once_under_the_cap(sizes, cap):
    ranges = chunks(sizes, cap)
    assert [index for start, stop in ranges for index in range(start, stop)] == list(range(len(sizes)))
    assert all(sum(sizes[start:stop]) <= cap or stop - start == 1 for start, stop in ranges)


def test_predictions_do_not_depend_on_the_batches(view, model):
    indices, offsets = view.validation("dft", ["a", "b"])[::-1], view.offsets("dft", ())
    one, other = (
        predict(model, view, indices, "dft", offsets=offsets, forces=True, max_atoms=cap) for cap in (20, 400)
    )
    assert list(one.index) == list(indices)
    np.testing.assert_allclose(one.energy_predicted, other.energy_predicted, rtol=1e-13)
    np.testing.assert_allclose(one.forces_predicted, other.forces_predicted, rtol=1e-7, atol=1e-10)
    assert one.forces_reference.shape == one.forces_predicted.shape == (one.atoms.sum(), 3)
    first = view.structures.offsets[indices[0]]
    reference = view.structures.labels["dft"].forces[first : first + one.atoms[0]]
    assert np.array_equal(one.forces_reference[: one.atoms[0]], reference)


@pytest.mark.parametrize(("cap", "most"), [(20, 80), (200, 512), (600, 600)])
def test_more_atoms_go_through_at_a_time_than_in_a_training_step(view, model, monkeypatch, cap, most):
    indices, offsets = np.tile(view.validation("dft", ["a", "b"]), 8), view.offsets("dft", ())
    sizes, forward = [], model.forward

    def counted(graph, *own, **more):
        sizes.append(len(graph.positions))
        return forward(graph, *own, **more)

    monkeypatch.setattr(model, "forward", counted)
    predict(model, view, indices, "dft", offsets=offsets, forces=False, max_atoms=cap)
    assert sum(sizes) == view.structures.sizes[indices].sum()
    assert max(most // 2, cap // 2) < max(sizes) <= most


def test_batches_of_predictions_keep_to_a_cap_of_edges(view, model, monkeypatch):
    indices, offsets = view.validation("dft", ["a", "b"]), view.offsets("dft", ())
    graphs = []
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda graph, *own, **more: graphs.append(graph) or forward(graph, *own, **more)
    )
    free = predict(model, view, indices, "dft", offsets=offsets, forces=False)
    widest = max(graph.edges.shape[1] for graph in graphs)
    graphs.clear()
    capped = predict(model, view, indices, "dft", offsets=offsets, forces=False, max_edges=widest // 3)
    assert all(graph.edges.shape[1] <= widest // 3 for graph in graphs)
    np.testing.assert_allclose(capped.energy_predicted, free.energy_predicted, rtol=1e-13)


def test_energies_are_total_energies_with_the_offsets_asked_for(view, model):
    indices = view.validation("cc", ["a"])
    offsets = {method: view.offsets(method, ()) for method in ("cc", "dft")}
    own = predict(model, view, indices, "cc", offsets=offsets["cc"], forces=False)
    other = predict(model, view, indices, "cc", offsets=offsets["dft"], forces=False)
    head = predict(model, view, indices, "cc", offsets=offsets["cc"], forces=False, head="dft")
    nulls = {method: offsets_only(own, view, offsets[method]).energy_predicted for method in offsets}
    np.testing.assert_allclose(own.energy_predicted - other.energy_predicted, nulls["cc"] - nulls["dft"], atol=1e-9)
    assert np.abs(own.energy_predicted - own.energy_reference).max() < 20
    assert np.array_equal(own.energy_reference, head.energy_reference)
    assert np.abs(own.energy_predicted - head.energy_predicted).min() > 1e-6


def test_a_base_method_is_added_to_its_correction(view, model):
    """The null model of delta-learning is the base with the difference's offsets."""
    indices, offsets = view.validation("dft", ["a", "b"]), dict.fromkeys(view.elements, 0.25)
    labels = view.structures.labels["dft"]
    plain, corrected = (
        predict(model, view, indices, "dft", offsets=offsets, forces=True, base=base) for base in (None, "dft")
    )
    atoms = view.structures.atoms_of(indices)
    np.testing.assert_allclose(
        corrected.energy_predicted - plain.energy_predicted, labels.energy[indices], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        corrected.forces_predicted, plain.forces_predicted + labels.forces[atoms], rtol=0, atol=1e-12
    )
    assert np.array_equal(corrected.energy_reference, plain.energy_reference)
    null = offsets_only(corrected, view, offsets, "dft")
    assert errors(null)[Quantity.ENERGY_MAE] == pytest.approx(250.0)
    assert errors(null)[Quantity.FORCE_MAE] == 0
    assert offsets_only(corrected, view, offsets).forces_predicted is None


def test_prediction_leaves_the_model_as_it_was(view, model):
    model.train()
    predict(model, view, np.arange(3), "dft", offsets=view.offsets("dft", ()), forces=True)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def predictions(energy, formula, forces=None) -> Predictions:
    energy = np.asarray(energy, dtype=np.float64)
    atoms = np.full(len(energy), 2)
    zero = None if forces is None else np.zeros_like(forces)
    return Predictions(np.arange(len(energy)), np.asarray(formula), atoms, np.zeros(len(energy)), energy, zero, forces)


def test_errors_have_the_units_of_their_quantities():
    forces = np.array([[0.1, 0, 0], [0, -0.2, 0], [0, 0, 0.3], [0, 0, 0]])
    found = errors(predictions([0.002, -0.006], [0, 1], forces), LossWeights(energy=10.0, forces=1.0))
    assert found[Quantity.ENERGY_MAE] == pytest.approx(2.0)
    assert found[Quantity.ENERGY_RMSE] == pytest.approx(np.sqrt(5.0))
    assert found[Quantity.ENERGY_MAE_MOLECULE] == pytest.approx(4.0)
    assert found[Quantity.FORCE_MAE] == pytest.approx(50.0)
    assert found[Quantity.FORCE_RMSE] == pytest.approx(1000 * np.sqrt(0.14 / 12))
    assert found[Quantity.LOSS] == pytest.approx(10 * 5e-6 + 0.14 / 12)
    assert Quantity.ENERGY_MAE_WITHIN_FORMULA not in found


def test_the_best_constant_shift_is_the_median():
    energy = np.array([0.102, 0.1, 0.094])
    found = errors(predictions(2 * energy, [0, 1, 2]))
    assert found[Quantity.ENERGY_MAE] == pytest.approx(1000 * energy.mean())
    assert found[Quantity.ENERGY_MAE_SHIFTED] == pytest.approx((2 + 0 + 6) / 3)


@given(st.dictionaries(st.integers(0, 5), st.floats(-1, 1), min_size=6, max_size=6), st.integers(0, 100))
def test_within_formula_errors_are_free_of_offsets(shifts, seed):
    rng = np.random.default_rng(seed)
    formula = np.repeat(np.arange(6), 3)
    energy = rng.normal(size=18)
    shifted = energy + np.array([shifts[int(index)] for index in formula])
    one, other = (errors(predictions(values, formula)) for values in (energy, shifted))
    assert one[Quantity.ENERGY_MAE_WITHIN_FORMULA] == pytest.approx(other[Quantity.ENERGY_MAE_WITHIN_FORMULA])


def test_formulae_with_one_structure_have_no_within_error():
    found = errors(predictions([1.0, 2.0, 500.0], [4, 4, 9]))
    assert found[Quantity.ENERGY_MAE_WITHIN_FORMULA] == pytest.approx(1000 * 0.25)


@pytest.fixture
def coincident(view):
    """Return the data with the second atom of one structure put where its first one is, and that structure."""
    index = int(view.validation("dft", ["a"])[3])
    structures = view.structures
    positions = structures.positions.copy()
    positions[structures.offsets[index] + 1] = positions[structures.offsets[index]]
    source = copy.copy(view._source)
    source.structures, source._edges, source._derived = structures._replace(positions=positions), {}, {}
    return DataView(source, view.data), index


@pytest.mark.parametrize("forces", [False, True])
@pytest.mark.parametrize("cap", [20, 400])
def test_a_prediction_that_is_not_finite_names_its_structure(coincident, model, forces, cap):
    data, index = coincident
    indices, offsets = data.validation("dft", ["a"]), data.offsets("dft", ())
    name = re.escape(data.structures.describe(index))
    with pytest.raises(TrainingError, match=rf"head dft for {name} is not finite, as 1 of 12 are\. Look at its geom"):
        predict(model, data, indices, "dft", offsets=offsets, forces=forces, max_atoms=cap)
    others = indices[indices != index]
    assert np.isfinite(predict(model, data, others, "dft", offsets=offsets, forces=forces).energy_predicted).all()


def test_predictions_none_of_which_is_finite_are_the_models_fault(view, model):
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    indices, offsets = view.validation("dft", ["a"]), view.offsets("dft", ())
    with pytest.raises(TrainingError, match=r"as 12 of 12 are\. No structure has a finite one: lower"):
        predict(model, view, indices, "dft", offsets=offsets, forces=False)


def test_a_training_on_such_a_structure_names_it_and_no_other(coincident, tiny, tmp_path):
    data, index = coincident
    members = np.concatenate([[index], data.partition.train["b"][:20]])
    data.partition.train["b"] = members
    training = tiny((LabelledSet(labels="dft", subset="b", size=21, probability=1.0),), batch={"max_atoms": 200})
    name = re.escape(data.structures.describe(index))
    with pytest.raises(TrainingError, match=rf"the dft loss is not finite at step \d+, on {name}\. Expected"):
        train(
            training,
            data,
            checkpoints=tmp_path,
            metrics=tmp_path / "metrics.jsonl",
            parent=None,
            world=World.alone(),
            report=lambda _: True,
        )
