"""`model:` of a spec: an architecture and its size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mfsweep.spec.base import Frozen


class Mace(Frozen):
    """MACE by mace-torch. The defaults are the source study's largest model (arXiv:2506.14963)."""

    architecture: Literal["mace"] = "mace"
    channels: PositiveInt = 256
    """Multiplicity of each hidden irrep."""
    max_L: NonNegativeInt = 1
    """Highest rotation order of the hidden features (0: scalars only)."""
    max_ell: NonNegativeInt = 3
    """Highest order of the spherical harmonics of the edges."""
    correlation: PositiveInt = 3
    """Body order of the product basis, minus one."""
    layers: Annotated[int, Field(ge=2)] = 2
    """Message-passing layers; the last one's readout is the MLP."""
    r_max: PositiveFloat = 5.0
    """Cutoff radius in angstrom."""
    bessel: PositiveInt = 8
    """Radial basis functions."""
    cutoff_order: PositiveInt = 5
    """Order p of the polynomial cutoff envelope (assumed)."""
    radial_hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 64, 64)
    """Hidden widths of the radial network (mace-torch's default, assumed)."""
    readout_hidden: PositiveInt = 16
    """Hidden width of the last layer's readout, per head."""


class Allegro(Frozen):
    """Allegro by nequip-allegro: named here so that a spec can say it; this version does not train it yet."""

    architecture: Literal["allegro"]
    layers: PositiveInt = 2
    """Interaction layers."""


Model = Annotated[Mace | Allegro, Field(discriminator="architecture")]
