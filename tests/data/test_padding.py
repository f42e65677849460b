from __future__ import annotations

import numpy as np
import pytest
import torch
from architectures import SPECS
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.padding import bucket, padded
from mfsweep.models.architecture import Shape
from mfsweep.models.registry import ARCHITECTURES, build
from mfsweep.spec.stage import LossWeights
from mfsweep.train.bench import ELEMENTS, molecules
from mfsweep.train.step import Task, find, moving
from mfsweep.train.tensors import Sender

CUTOFF = 5.0
MODELS = {name: next(iter(SPECS[name].values())) for name, own in ARCHITECTURES.items() if not own.PINS}


@given(st.integers(1, 10**7))
def test_a_size_grows_by_an_eighth_at_most(number):
    assert number <= bucket(number) <= number * 9 / 8 + 1


@given(st.integers(1, 10**6))
def test_a_size_that_a_bucket_has_stays(number):
    assert bucket(bucket(number)) == bucket(number)


def test_there_are_eight_sizes_between_powers_of_two():
    assert len({bucket(number) for number in range(1025, 2049)}) == 8


@pytest.mark.parametrize("forces", [False, True])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_what_is_added_changes_nothing_of_the_rest(forces, periodic, number, spec):
    model = build(
        spec, Shape(("bench",), ELEMENTS, 13.0), {"bench": dict.fromkeys(ELEMENTS, 0.0)}, seed=1, dtype=torch.float64
    )
    model.train()
    arrays = molecules(number, CUTOFF, forces=forces)
    if periodic:
        shifts = np.random.default_rng(0).normal(size=(arrays.edge_index.shape[1] // 2, 3))
        arrays = arrays._replace(shifts=shifts)
    send = Sender(ELEMENTS, torch.float64, torch.device("cpu")).labelled
    task = Task("bench", forces, LossWeights(energy=3.0, forces=2.0))
    parameters = list(moving(model).values())
    plain = find(model, parameters, send(arrays), task)
    filled = find(model, parameters, send(padded(arrays, CUTOFF)), task)
    assert len(filled.energy) > number
    torch.testing.assert_close(filled.energy[:number], plain.energy)
    torch.testing.assert_close(filled.loss, plain.loss)
    for own, other in zip(filled.gradients, plain.gradients, strict=True):
        torch.testing.assert_close(own, other)
    if forces:
        atoms = number * len(plain.forces) // number
        torch.testing.assert_close(filled.forces[:atoms], plain.forces)
        assert not filled.forces[atoms:].any()


def test_structures_of_one_atom_without_pairs_are_filled_up():
    arrays = molecules(1, CUTOFF, forces=False)
    lonely = arrays._replace(
        species=arrays.species[:1],
        positions=arrays.positions[:1],
        structure=arrays.structure[:1],
        ptr=np.array([0, 1]),
        edge_index=np.empty((2, 0), np.int64),
        atoms=np.array([1]),
    )
    filled = padded(lonely, CUTOFF)
    assert filled.edge_index.min() >= 1
    assert (filled.edge_index[0] != filled.edge_index[1]).all()
    assert filled.edge_index.max() < len(filled.species) == filled.ptr[-1]
