"""`model:` of a spec: an architecture and its size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mfsweep.spec.base import Frozen, Int, NonNegativeInt, PositiveFloat, PositiveInt


class Mace(Frozen):
    """MACE by mace-torch. The defaults are the source study's largest model (arXiv:2506.14963)."""

    architecture: Literal["mace"] = "mace"
    channels: PositiveInt = 256
    """Multiplicity of each hidden irrep."""
    max_L: NonNegativeInt = 1
    """Highest rotation order of the hidden features (0: scalars only)."""
    max_ell: PositiveInt = 3
    """Highest order of the spherical harmonics of the edges (mace-torch makes no product basis of scalars alone)."""
    correlation: PositiveInt = 3
    """Body order of the product basis, minus one."""
    layers: Annotated[Int, Field(ge=2)] = 2
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
    interaction_first: Literal["residual"] | None = None
    """`residual`: each layer adds its input to its output, as in mace-torch's default and its foundation models (their
    `RealAgnosticResidualInteractionBlock`). Default: all but the first one, as in the study."""
    distance_transform: Literal["Agnesi", "Soft"] | None = None
    """Transform of distances before the radial basis, by the elements' covalent radii, as in some foundation models."""


class Allegro(Frozen):
    """Allegro by nequip-allegro. The defaults are the source study's (arXiv:2506.14963), with about 1M parameters."""

    architecture: Literal["allegro"]
    layers: PositiveInt = 2
    """Allegro layers."""
    l_max: NonNegativeInt = 2
    """Highest order of the spherical harmonics and of the tensor features (the study's value is unknown: assumed)."""
    tensor_channels: PositiveInt = 64
    """Multiplicity of the tensor features."""
    scalar_channels: Annotated[Int, Field(ge=2, multiple_of=2)] = 256
    """Width of the scalar features of each pair, half of it from each of its atoms' elements."""
    r_max: PositiveFloat = 5.0
    """Cutoff radius in angstrom."""
    bessel: PositiveInt = 8
    """Radial basis functions."""
    cutoff_order: Annotated[Int, Field(ge=2)] = 6
    """Order p of the polynomial cutoff envelope (nequip-allegro's default, assumed)."""
    mlp_layers: PositiveInt = 2
    """Hidden layers of each network on scalar features (assumed)."""
    mlp_width: PositiveInt = 256
    """Width of these layers (assumed)."""
    readout_hidden: PositiveInt = 128
    """Hidden width of the readout of each head, SiLU."""


Architecture = Mace | Allegro
Model = Annotated[Architecture, Field(discriminator="architecture")]
