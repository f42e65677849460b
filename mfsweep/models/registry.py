"""The registry of architectures: the name of one -> a model of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import torch

from mfsweep.errors import ResourceError
from mfsweep.models.base import Potential, Shape
from mfsweep.spec.model import Architecture


def _mace() -> Callable[..., Potential]:
    from mfsweep.models.mace import MacePotential

    return MacePotential


def _allegro() -> Callable[..., Potential]:
    if importlib.util.find_spec("nequip") is None:
        raise ResourceError(
            "nequip cannot be imported on this machine: Allegro's packages are no part of the environment. Run "
            "`mfsweep env allegro` (on a cluster, in the image of every node), or set MFSWEEP_OVERLAYS to a folder "
            "that all nodes share"
        )
    from mfsweep.models.allegro import AllegroPotential

    return AllegroPotential


ARCHITECTURES: dict[str, Callable[[], Callable[..., Potential]]] = {"mace": _mace, "allegro": _allegro}
"""`model.architecture` of a spec -> a function that imports the class that builds it and returns it.

A process imports one of them only: mace-torch and nequip-allegro need different versions of e3nn.
"""


def build(
    spec: Architecture, shape: Shape, offsets: Mapping[str, Mapping[int, float]], *, seed: int, dtype: torch.dtype
) -> Potential:
    """Make a model of the spec's architecture on the CPU, its weights drawn from `seed` alone.

    Args:
        spec: architecture and size.
        shape: heads, elements, mean number of neighbours.
        offsets: head -> atomic number -> E0 in eV.
        seed: of the initial weights.
        dtype: of the weights.
    """
    return ARCHITECTURES[spec.architecture]()(spec, shape, offsets, seed=seed, dtype=dtype)
