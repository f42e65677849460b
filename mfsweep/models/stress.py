"""Energies, forces and the stress of crystals by one readout head, for every architecture: by straining the geometry.

A symmetric strain e takes each position r to r (1 + e), and a lattice with it; stress = dE/de / volume, as in ASE and
in mace-torch. A `Potential` needs no code for it: its energy is differentiable in a graph's positions and shifts.

Legend: S structures, A atoms, E edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mfsweep.models.base import AtomGraph, Potential


class Strained(NamedTuple):
    """What a model says of crystals."""

    energy: Tensor
    """(S,) interaction energies without offsets, eV."""
    forces: Tensor
    """(A, 3) eV/angstrom."""
    stress: Tensor
    """(S, 3, 3) symmetric, eV/angstrom^3; positive where the crystal pulls inwards."""


def strained(model: Potential, graph: AtomGraph, head: str, volumes: Tensor) -> Strained:
    """Return energies, forces and stress of periodic structures.

    Args:
        model: in evaluation mode, on the graph's device.
        graph: the structures.
        head: readout head.
        volumes: (S,) of the cells, angstrom^3.
    """
    with torch.enable_grad():
        positions = graph.positions.detach().requires_grad_()
        strain = positions.new_zeros(graph.size, 3, 3, requires_grad=True)
        symmetric = (strain + strain.transpose(1, 2)) / 2
        moved = positions + _turned(positions, symmetric, graph.structure)
        shifts = graph.shifts
        if shifts is not None:
            sender = graph.edges[0, : len(shifts)]
            shifts = shifts + _turned(shifts, symmetric, graph.structure[sender])
        energy = model.energy(graph._replace(positions=moved, shifts=shifts), head)
        by_position, by_strain = torch.autograd.grad(energy.sum(), [positions, strain])
    return Strained(energy.detach(), -by_position, by_strain / volumes[:, None, None])


def _turned(vectors: Tensor, matrices: Tensor, owner: Tensor) -> Tensor:
    """Return each of (N, 3) vectors times the matrix (S, 3, 3) of its structure (N,)."""
    return torch.einsum("ni,nij->nj", vectors, matrices.index_select(0, owner))
