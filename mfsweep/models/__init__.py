"""Machine-learned potentials behind one interface (`Potential`); the registry of architectures."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mfsweep.models.base import Graph, Potential, Prediction, Shape, match_heads
from mfsweep.models.mace import MacePotential
from mfsweep.spec.model import Mace

__all__ = ["ARCHITECTURES", "Graph", "Potential", "Prediction", "Shape", "build", "match_heads"]

ARCHITECTURES: dict[str, type[MacePotential]] = {"mace": MacePotential}
"""`model.architecture` of a spec -> the class that builds it."""


def build(
    spec: Mace, shape: Shape, offsets: Mapping[str, Mapping[int, float]], *, seed: int, dtype: torch.dtype
) -> Potential:
    """Make a model of the spec's architecture on the CPU, its weights drawn from `seed` alone.

    Args:
        spec: architecture and size.
        shape: heads, elements, mean number of neighbours.
        offsets: head -> atomic number -> E0 in eV.
        seed: of the initial weights.
        dtype: of the weights.
    """
    return ARCHITECTURES[spec.architecture](spec, shape, offsets, seed=seed, dtype=dtype)
