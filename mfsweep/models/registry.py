"""The registry of architectures. Who adds one names it here, in three places, and writes its own file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mfsweep.imports import uncollected
from mfsweep.models import mace
from mfsweep.models.allegro import Allegro
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.models.mace import Mace
from mfsweep.models.painn import Painn

if TYPE_CHECKING:
    import torch

    from mfsweep.models.base import Potential

ARCHITECTURES: dict[str, type[Architecture]] = {"mace": Mace, "allegro": Allegro, "painn": Painn}
"""`model.architecture` of a spec -> what it stands for."""
Model = Annotated[Mace | Allegro | Painn, Field(discriminator="architecture")]
"""What a spec's `model:` may be: the same ones, as a type."""
SMALL, LARGE = mace.SMALL, mace.LARGE
"""What a first spec begins with, for few data and for many."""


def build(
    spec: Architecture, shape: Shape, offsets: Mapping[str, Mapping[int, float]], *, seed: int, dtype: torch.dtype
) -> Potential:
    """Make a model of the spec's architecture on the CPU, its weights drawn from `seed` alone.

    A process that has the overlay of one architecture can make models of no other: their packages exclude each other.

    Args:
        spec: architecture and size.
        shape: heads, elements, mean number of neighbours.
        offsets: head -> atomic number -> E0 in eV.
        seed: of the initial weights.
        dtype: of the weights.

    Raises:
        ResourceError: the architecture's packages cannot be imported by this process.
    """
    with uncollected():
        make = spec.potential()
    return make(spec, shape, offsets, seed=seed, dtype=dtype)
