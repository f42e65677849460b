"""Physics laws that every architecture obeys, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mfsweep.models.stress import strained
from mfsweep.spec.stage import Lora
from mfsweep.train.readout_features import gradients_of


@pytest.fixture(params=["equal heads", "an enlarged head", "adapters", "vectors"])
def model(borrow_model, architecture, request, train_adapters, train_vectors):
    if request.param == "vectors":
        if architecture.FIRST_FEATURES is None:
            pytest.skip("it takes no vectors of methods")
        model = borrow_model(architecture.but(conditioning="embedding"))
        train_vectors(model)
        return model.eval()
    model = borrow_model(architecture, hidden={"cc": (6, 3)} if request.param == "an enlarged head" else {})
    if request.param == "adapters":
        model.adapt(Lora(rank=2))
        train_adapters(model)
    return model.eval()


def test_energies_and_forces_turn_with_the_molecule(model, make_graph, molecules):
    turn = Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix()
    still = model(make_graph(*molecules), "cc", forces=True)
    turned = model(make_graph(*[(s, x @ turn.T) for s, x in molecules]), "cc", forces=True)
    torch.testing.assert_close(turned.energy, still.energy, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(turned.forces, still.forces @ torch.tensor(turn).T, rtol=1e-8, atol=1e-10)


def test_a_reflection_keeps_energies(model, make_graph, molecules):
    still = model(make_graph(*molecules), "cc", forces=False)
    mirrored = model(make_graph(*[(s, -x) for s, x in molecules]), "cc", forces=False)
    torch.testing.assert_close(mirrored.energy, still.energy, rtol=1e-10, atol=1e-12)


def test_translation_changes_nothing(model, make_graph, molecules):
    still = model(make_graph(*molecules), "dft", forces=True)
    moved = model(make_graph(*[(s, x + np.array([3.0, -7.0, 11.0])) for s, x in molecules]), "dft", forces=True)
    torch.testing.assert_close(moved.energy, still.energy, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(moved.forces, still.forces, rtol=1e-8, atol=1e-10)


def test_forces_of_a_molecule_sum_to_zero(model, make_graph, molecules):
    graph = make_graph(*molecules)
    forces = model(graph, "cc", forces=True).forces
    total = torch.zeros(graph.size, 3, dtype=forces.dtype).index_add(0, graph.structure, forces)
    assert total.abs().max() < 1e-12 < forces.abs().max()


def test_the_order_of_atoms_does_not_matter(model, make_graph, molecules):
    order = np.random.default_rng(0).permutation(9)
    species, positions = molecules[2]
    one = model(make_graph((species, positions)), "cc", forces=True)
    other = model(make_graph((species[order], positions[order])), "cc", forces=True)
    torch.testing.assert_close(other.energy, one.energy, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(other.forces, one.forces[order], rtol=1e-8, atol=1e-10)


def test_forces_are_minus_the_gradient(model, make_graph, molecules):
    species, positions = molecules[0]
    forces = model(make_graph((species, positions)), "cc", forces=True).forces
    step = 1e-4
    for atom, axis in [(0, 0), (3, 1), (5, 2)]:
        energies = []
        for sign in (1, -1):
            moved = positions.copy()
            moved[atom, axis] += sign * step
            energies.append(model(make_graph((species, moved)), "cc", forces=False).energy.item())
        assert forces[atom, axis].item() == pytest.approx(-(energies[0] - energies[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_a_batch_equals_its_structures_one_by_one(model, make_graph, molecules):
    batch = model(make_graph(*molecules), "cc", forces=True)
    alone = [model(make_graph(molecule), "cc", forces=True) for molecule in molecules]
    torch.testing.assert_close(batch.energy, torch.cat([one.energy for one in alone]), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(batch.forces, torch.cat([one.forces for one in alone]), rtol=1e-8, atol=1e-10)


def test_energies_and_forces_are_smooth_where_neighbours_part(model, make_graph):
    def predicted(distance: float) -> tuple[float, float]:
        molecule = np.array([1, 3]), np.array([[0, 0, 0], [distance, 0, 0.0]])
        prediction = model(make_graph(molecule), "cc", forces=True)
        return prediction.energy.item(), prediction.forces.abs().max().item()

    apart, none = predicted(5.00001)
    assert none == 0
    near, force = predicted(4.99999)
    assert near == pytest.approx(apart, abs=1e-9)
    assert force < 1e-4 * predicted(4.0)[1]
    assert abs(predicted(4.0)[0] - apart) > 1e-6


def test_an_atom_alone_and_one_on_a_site_of_high_symmetry_have_no_force(model, make_graph):
    """There the invariants of vectors that vanish must not divide by their lengths."""
    alone = model(make_graph((np.array([1]), np.zeros((1, 3))), (np.array([3]), np.ones((1, 3)))), "cc", forces=True)
    octahedron = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    centred = model(make_graph((np.array([1, *[0] * 6]), 1.8 * octahedron)), "cc", forces=True)
    assert torch.isfinite(alone.energy).all()
    assert not alone.forces.any()
    assert torch.isfinite(centred.energy).all()
    assert centred.forces[0].abs().max() < 1e-10 < centred.forces.abs().max()


def test_a_crystal_is_the_same_whatever_cell_describes_it(model, make_crystal, ice):
    """Energy per atom and forces of repeated cells, and of atoms moved out of theirs by whole lattice vectors."""
    one = model(make_crystal(ice), "cc", forces=True)
    repeated = model(make_crystal(ice.repeat((2, 1, 2))), "cc", forces=True)
    torch.testing.assert_close(repeated.energy, 4 * one.energy, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(repeated.forces, one.forces.repeat(4, 1), rtol=1e-8, atol=1e-10)
    outside = ice.copy()
    outside.positions += np.array([[2, 0, -1], [0, 1, 0], [-3, 0, 0], [0, 0, 1], [0, 0, 0]]) @ ice.cell.array
    moved = model(make_crystal(outside), "cc", forces=True)
    torch.testing.assert_close(moved.energy, one.energy, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(moved.forces, one.forces, rtol=1e-8, atol=1e-10)


def test_forces_of_a_crystal_are_minus_the_gradient(model, make_crystal, ice):
    forces = model(make_crystal(ice), "cc", forces=True).forces
    assert forces.sum(dim=0).abs().max() < 1e-10 < forces.abs().max()
    step = 1e-4
    for atom, axis in [(0, 0), (3, 2)]:
        energies = []
        for sign in (1, -1):
            moved = ice.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(model(make_crystal(moved), "cc", forces=False).energy.item())
        assert forces[atom, axis].item() == pytest.approx(-(energies[0] - energies[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_a_crystal_far_apart_is_a_molecule(model, make_crystal, make_graph, ice):
    ice.cell *= 10.0
    molecule = np.searchsorted([1, 6, 7, 8], ice.numbers), ice.positions
    alone = model(make_graph(molecule), "dft", forces=True)
    both = model(make_crystal(ice, ice), "dft", forces=True)
    torch.testing.assert_close(both.energy, alone.energy.repeat(2), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(both.forces, alone.forces.repeat(2, 1), rtol=1e-8, atol=1e-10)


def test_heads_differ(model, make_graph, molecules):
    graph = make_graph(*molecules)
    difference = model(graph, "cc", forces=False).energy - model(graph, "dft", forces=False).energy
    assert difference.abs().max() > 1e-3, "of one molecule two heads may agree by chance"


def test_a_batch_of_one_head_leaves_the_other_heads_alone(model, make_graph, molecules):
    """After a step of Adam on one head's batch the other head's function has moved by the backbone only."""
    if model.method_vectors is not None:
        pytest.skip("methods share the readout: test_conditioning.py")
    graph = make_graph(*molecules)
    model.train()
    prediction = model(graph, "cc", forces=True)
    (prediction.energy.square().sum() + prediction.forces.square().sum()).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.readout_parameters()]
    assert any(gradient.abs().max() > 0 for gradient in gradients)
    frozen = model(graph, "dft", forces=False).energy.detach()
    with torch.no_grad():
        for parameter, gradient in zip(model.readout_parameters(), gradients, strict=True):
            parameter.sub_(0.1 * gradient)
    assert torch.equal(model(graph, "dft", forces=False).energy, frozen)
    assert not torch.allclose(model(graph, "cc", forces=False).energy, prediction.energy)


def test_backbone_readouts_and_adapters_are_all_the_parameters(model):
    parts = [*model.backbone_parameters(), *model.readout_parameters(), *model.adapter_parameters()]
    assert {id(parameter) for parameter in parts} == {id(parameter) for parameter in model.parameters()}
    assert len(parts) == len(list(model.parameters()))


def test_the_stress_is_the_slope_by_each_of_the_nine_strains(model, make_crystal, ice):
    """Also by single off-diagonal ones, which turn the crystal too: the virial is symmetric."""
    volume = torch.tensor([ice.get_volume()], dtype=torch.float64)
    found = strained(model, make_crystal(ice), "cc", volume)
    plain = model(make_crystal(ice), "cc", forces=True)
    torch.testing.assert_close(found.energy, plain.energy.detach())
    torch.testing.assert_close(found.forces, plain.forces)
    step = 1e-5
    for row, column in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step
            moved = ice.copy()
            moved.set_cell(ice.cell @ strain, scale_atoms=True)
            energies.append(model(make_crystal(moved), "cc", forces=False).energy.item())
        slope = (energies[0] - energies[1]) / (2 * step) / volume.item()
        assert found.stress[0, row, column].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_readout_features_are_slopes_that_no_rotation_changes_and_no_other_structure(model, make_graph, molecules):
    """The slope by the readouts' weights tells what moving along it does to the energies, and is zero for others."""
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    for parameter in model.readout_parameters():
        parameter.requires_grad_(requires_grad=True)
    slopes = gradients_of(model, make_graph(*molecules), "cc")
    alone = torch.cat([gradients_of(model, make_graph(molecule), "cc") for molecule in molecules])
    torch.testing.assert_close(slopes, alone, rtol=1e-8, atol=1e-10)
    turn = Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix()
    turned = gradients_of(model, make_graph(*[(s, x @ turn.T) for s, x in molecules]), "cc")
    torch.testing.assert_close(slopes, turned, rtol=1e-8, atol=1e-10)
    step = 1e-6 * torch.randn(slopes.shape[1], dtype=slopes.dtype, generator=torch.Generator().manual_seed(2))
    before = model(make_graph(*molecules), "cc", forces=False).energy.detach()
    parts = torch.split(step, [parameter.numel() for parameter in model.readout_parameters()])
    with torch.no_grad():
        for parameter, part in zip(model.readout_parameters(), parts, strict=True):
            parameter.add_(part.view_as(parameter))
    moved = model(make_graph(*molecules), "cc", forces=False).energy.detach() - before
    torch.testing.assert_close(moved, slopes @ step, rtol=1e-3, atol=1e-9)
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=True)
