from __future__ import annotations

import numpy as np
import pytest
import torch

from mfsweep.models.painn import Painn

SPEC = Painn(channels=5, layers=2, bessel=3, readout_hidden=4)


def silu(x):
    return x / (1 + np.exp(-x))


def energies_by_the_equations(state, spec, species, positions):
    """The paper's equations written out, atom by atom and neighbour by neighbour, for the head `dft`."""
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    width = spec.channels

    def dense(name, x):
        return weights[f"{name}.weight"] @ x + weights.get(f"{name}.bias", 0.0)

    def mlp(name, x):
        return dense(f"{name}.2", silu(dense(f"{name}.0", x)))

    scalars = [weights["network.embedding.weight"][kind] for kind in species]
    vectors = [np.zeros((3, width)) for _ in species]
    for layer in range(spec.layers):
        place = f"network.layers.{layer}"
        changes = []
        for i in range(len(species)):
            to_scalar, to_vector = np.zeros(width), np.zeros((3, width))
            for j in range(len(species)):
                between = positions[i] - positions[j]
                r = np.linalg.norm(between)
                if i == j or r >= spec.r_max:
                    continue
                basis = np.sin(np.arange(1, spec.bessel + 1) * np.pi * r / spec.r_max) / r
                cutoff = 0.5 * (np.cos(np.pi * r / spec.r_max) + 1)
                message = mlp(f"{place}.phi", scalars[j]) * dense(f"{place}.filter", basis) * cutoff
                of_scalar, along, across = np.split(message, 3)
                to_scalar += of_scalar
                to_vector += vectors[j] * along + np.outer(between / r, across)
            changes.append((to_scalar, to_vector))
        for i, (to_scalar, to_vector) in enumerate(changes):
            scalar, vector = scalars[i] + to_scalar, vectors[i] + to_vector
            left, right = np.split(vector @ weights[f"{place}.mix.weight"].T, 2, axis=1)
            norms = np.sqrt((right**2).sum(0) + 1e-8)
            own, product, stretch = np.split(mlp(f"{place}.gates", np.concatenate([scalar, norms])), 3)
            scalars[i] = scalar + own + product * (left * right).sum(0)
            vectors[i] = vector + stretch * left
    return sum(mlp("readouts.1", scalar)[0] for scalar in scalars)


def test_energies_are_those_of_the_papers_equations(make_model, make_graph, molecules):
    model = make_model(SPEC)
    with torch.no_grad():
        for parameter in model.parameters():  # biases too, which begin as zero
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    found = model(make_graph(*molecules), "dft", forces=False).energy
    expected = [energies_by_the_equations(model.state_dict(), SPEC, *molecule) for molecule in molecules]
    assert found.tolist() == pytest.approx(expected, rel=1e-11)


def test_the_papers_size_has_its_parameter_count():
    """About 600k (arXiv:2102.03150)."""
    assert Painn().parameters(5, [(64,)]) == pytest.approx(600_000, rel=0.05)
