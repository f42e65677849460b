"""Our layers against mace-torch's own, over sizes and batches: energies, forces, and gradients of a loss on both."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from e3nn import o3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mace.modules import wrapper_ops  # before e3nn, whose constants it loads

from mfsweep.models.architecture import Shape
from mfsweep.models.base import AtomGraph
from mfsweep.models.mace import Mace, oeq
from mfsweep.models.registry import build
from mfsweep.models.silu import silu
from mfsweep.models.slots import Slots

SPECS = st.builds(
    Mace,
    channels=st.integers(1, 3),
    max_L=st.integers(0, 2),
    max_ell=st.integers(1, 3),
    correlation=st.integers(1, 4),
    layers=st.integers(2, 3),
    radial_hidden=st.lists(st.integers(1, 5), min_size=1, max_size=2).map(tuple),
    interaction_first=st.sampled_from([None, "residual"]),
).filter(lambda spec: spec.max_L <= spec.max_ell and spec.correlation * spec.max_ell <= 9)


@st.composite
def graphs(draw):
    """Make a graph of up to nine atoms in up to three structures, with any of the pairs within a structure, or none."""
    structure = sorted(draw(st.lists(st.integers(0, 2), min_size=1, max_size=9)))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    atoms = len(structure)
    pairs = [(i, j) for i in range(atoms) for j in range(i + 1, atoms) if structure[i] == structure[j]]
    kept = [pair for pair in pairs if draw(st.integers(0, 3))]
    edges = torch.tensor(kept, dtype=torch.int64).reshape(-1, 2).T
    return AtomGraph(
        species=torch.randint(0, 4, (atoms,), generator=generator),
        positions=torch.randn(atoms, 3, generator=generator, dtype=torch.float64) * 1.5,
        structure=torch.tensor(structure),
        edges=torch.cat([edges, edges.flip(0)], 1),
        size=3,
    )


def loss_gradients(model, energy, forces):
    """Return the gradients of a loss on energies and forces; zeros where a parameter has no part in it."""
    loss = (energy - 0.3).pow(2).sum() + (forces - 0.1).pow(2).sum()
    parameters = list(model.network.parameters())
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)


def by_mace(model, graph):
    edges = graph.edges.shape[1]
    data = {
        "positions": graph.positions.clone(),
        "node_attrs": torch.nn.functional.one_hot(graph.species, 4).to(graph.positions),
        "edge_index": graph.edges,
        "batch": graph.structure,
        "ptr": torch.zeros(graph.size + 1, dtype=torch.int64),
        "head": torch.ones(graph.size, dtype=torch.int64),
        "shifts": graph.positions.new_zeros(edges, 3),
        "unit_shifts": graph.positions.new_zeros(edges, 3),
        "cell": graph.positions.new_zeros(3 * graph.size, 3),
    }
    found = model.network(data, training=True, compute_force=True)
    return found["interaction_energy"], found["forces"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS, graphs())
def test_energies_forces_and_gradients_are_maces(spec, graph):
    """To 1e-10 in float64; mace-torch itself has no sum over pairs where there are none."""
    model = build(spec, Shape(("cc", "dft"), (1, 6, 7, 8), 3.0), {"cc": {}, "dft": {}}, seed=0, dtype=torch.float64)
    ours = model.train()(graph, "dft", forces=True)
    if not graph.edges.numel():
        assert not ours.forces.any()
        return
    energy, forces = by_mace(model, graph)
    gradients = loss_gradients(model, energy, forces)
    model.fixed_shapes = True
    for own in (ours, model(graph, "dft", forces=True)):
        torch.testing.assert_close(own.energy, energy, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(own.forces, forces, rtol=1e-10, atol=1e-11)
        torch.testing.assert_close(loss_gradients(model, own.energy, own.forces), gradients, rtol=1e-10, atol=1e-10)


class OpenEquivariance(SimpleNamespace):
    """A stand-in whose convolution, declared as theirs is, e3nn computes; theirs runs on GPUs alone."""

    class TensorProductConv(torch.nn.Module):
        def __init__(self, problem, *, deterministic):  # noqa: ARG002 (a name of theirs)
            super().__init__()
            self.weight_numel = 1
            self.product = o3.TensorProduct(*problem.sides, problem.instructions, **problem.weights)

        def forward(self, features, harmonics, weights, rows, columns):
            messages = self.product(features[columns], harmonics, weights)
            return messages.new_zeros(len(features), messages.shape[1]).index_add(0, rows, messages)

    @staticmethod
    def TPProblem(first, second, out, instructions, *, irrep_dtype, weight_dtype, **weights):
        assert irrep_dtype == weight_dtype == torch.float64
        return SimpleNamespace(sides=(first, second, out), instructions=instructions, weights=weights)


@pytest.fixture(scope="module")
def openequivariance():
    known = importlib.util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: name == "openequivariance" or known(name))
        patch.setattr(wrapper_ops, "OEQ_AVAILABLE", True)
        patch.setattr(wrapper_ops, "oeq", OpenEquivariance(torch_to_oeq_dtype=lambda dtype: dtype), raising=False)
        oeq._convolution.cache_clear()
        yield
        oeq._convolution.cache_clear()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=SPECS, graph=graphs())
def test_openequivariance_is_asked_for_what_mace_convolves(openequivariance, spec, graph):
    model = build(spec, Shape(("cc", "dft"), (1, 6, 7, 8), 3.0), {"cc": {}, "dft": {}}, seed=0, dtype=torch.float64)
    assert model.has_kernels("oeq")
    expected = model.train()(graph, "dft", forces=True)
    own = model.by_kernels("oeq")(graph, "dft", forces=True)
    torch.testing.assert_close(own.energy, expected.energy, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(own.forces, expected.forces, rtol=1e-10, atol=1e-11)
    gradients = [loss_gradients(model, found.energy, found.forces) for found in (own, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("architecture", [Mace(channels=16), Mace(channels=16, max_L=0, max_ell=2, correlation=2)])
def test_gradients_in_float32_are_those_of_float64(architecture, make_graph, molecules):
    """To 1e-4, as a whole."""
    gradients = []
    for dtype in (torch.float32, torch.float64):
        shape = Shape(("cc", "dft"), (1, 6, 7, 8), 7.0)
        model = build(architecture, shape, {"cc": {}, "dft": {}}, seed=0, dtype=torch.float32).to(dtype).train()
        found = model(make_graph(*molecules, dtype=dtype), "dft", forces=True)
        gradients.append(torch.cat([own.flatten() for own in loss_gradients(model, found.energy, found.forces)]))
    single, double = gradients
    assert (single - double).norm() < 1e-4 * double.norm()


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_a_table_of_slots_holds_each_pair_twice_and_its_gathers_are_transposes(graph):
    atoms, pairs = len(graph.species), graph.edges.shape[1] // 2
    slots = Slots.of(graph.edges, atoms)
    row = torch.arange(atoms).repeat_interleave(slots.width)
    filled = slots.signs(torch.ones(1)).bool()[:, 0]
    assert sorted(zip(slots.sender[filled].tolist(), row[filled].tolist(), strict=True)) == sorted(
        zip(*graph.edges.tolist(), strict=True)
    )
    assert torch.equal(slots.sender[slots.reverse][filled], row[filled])
    assert torch.equal(slots.pair[slots.first], torch.arange(pairs))
    assert torch.equal(slots.pair[slots.second], torch.arange(pairs))
    # What is used of a slot is zero where it is empty, as are the gradients that come back.
    mask = filled[:, None].double()
    if pairs:
        values = torch.randn(pairs, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: slots.of_pairs(x).sin() * mask, values)
        assert torch.autograd.gradgradcheck(lambda x: slots.of_pairs(x).sin() * mask, values)
    features = torch.randn(atoms, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: slots.of_senders(x).sin() * mask, features)
    assert torch.autograd.gradgradcheck(lambda x: slots.of_senders(x).sin() * mask, features)


def test_silu_has_its_first_and_second_derivative():
    x = torch.linspace(-30, 30, 61, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(silu(x), torch.nn.functional.silu(x))
    assert torch.autograd.gradcheck(silu, x)
    assert torch.autograd.gradgradcheck(silu, x)


def test_couplings_of_a_state_that_is_loaded_are_followed(make_graph, molecules):
    """A model from outside may hold couplings of another version of mace-torch."""
    shape = Shape(("cc", "dft"), (1, 6, 7, 8), 7.0)
    spec = Mace(channels=2, max_L=1, max_ell=2, correlation=3, radial_hidden=(4,))
    model, other = (build(spec, shape, {"cc": {}, "dft": {}}, seed=0, dtype=torch.float64) for _ in range(2))
    changed = {
        name: 1.5 * tensor if ".U_matrix_" in name else tensor.clone() for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(changed)
    other.adopt(changed, shape, {"cc": "cc", "dft": "dft"})
    graph = make_graph(*molecules)
    energy, _ = by_mace(model, graph)
    for own in (model, other):
        torch.testing.assert_close(own(graph, "dft", forces=False).energy, energy, rtol=1e-11, atol=1e-12)
