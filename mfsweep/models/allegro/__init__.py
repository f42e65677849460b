"""Allegro by nequip-allegro (arXiv:2204.05249): its fields, size and cost; `network.py` computes.

Strictly local, so it scales to many devices; its packages need an overlay.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mfsweep.errors import ResourceError
from mfsweep.models.architecture import Architecture, MakesPotential, dense
from mfsweep.spec.base import Int, NonNegativeInt, PositiveFloat, PositiveInt


class Allegro(Architecture):
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

    PACKAGES: ClassVar = ("nequip", "nequip-allegro")
    # Allegro needs e3nn 0.6 where mace-torch pins 0.4.4. nequip asks for more (lightning, hydra-core, matscipy, lmdb,
    # ...), but its modules need omegaconf alone, and no package here may shadow one that the rest of mfsweep uses.
    PINS: ClassVar = ("nequip==0.19.1", "nequip-allegro==0.8.3", "e3nn==0.6.0", "omegaconf==2.4.0")

    def weights(self, elements: int, readouts: Sequence[Sequence[int]]) -> int:
        """Return how many parameters its models have, as nequip-allegro makes them."""
        scalars, embedded = self.scalar_channels, self.tensor_channels * (self.l_max + 1)
        count = elements * scalars + self.bessel * scalars + self._network(scalars, scalars)
        count += scalars * embedded + scalars * (scalars + embedded)
        for layer, paths in enumerate(self._paths(), 1):
            out = scalars + (embedded if layer < self.layers else 0)
            count += self._network(scalars * layer + self.tensor_channels, out) + paths * self.tensor_channels
        return count + sum(dense(scalars * (self.layers + 1), *hidden, 1) for hidden in readouts)

    def _network(self, into: int, out: int) -> int:
        """Return the weights of a network on scalar features."""
        return dense(into, *[self.mlp_width] * self.mlp_layers, out)

    def _paths(self) -> list[int]:
        """Return how many ways each layer couples its features with the harmonics to features that later layers use."""
        harmonics = [(order, order % 2) for order in range(self.l_max + 1)]
        tracked = {(order, parity) for order in range(self.l_max + 1) for parity in (0, 1)}

        def couple(features: set[tuple[int, int]], wanted: set[tuple[int, int]]) -> list[tuple[tuple[int, int], ...]]:
            return [
                (one, (order, (one[1] + parity) % 2))
                for one in features
                for second, parity in harmonics
                for order in range(abs(one[0] - second), one[0] + second + 1)
                if (order, (one[1] + parity) % 2) in wanted
            ]

        reached = [set(harmonics)]
        for _ in range(self.layers - 1):
            reached.append({made for _, made in couple(reached[-1], tracked)})
        wanted, counts = {(0, 0)}, list[int]()
        for features in reversed(reached):
            ways = couple(features, wanted)
            counts.insert(0, len(ways))
            wanted = {one for one, _ in ways}
        return counts

    def effort(self) -> float:
        """Return layers x tensor channels x (highest order + 1)^2."""
        return self.layers * self.tensor_channels * (self.l_max + 1) ** 2

    @classmethod
    def potential(cls) -> MakesPotential:
        """Import nequip-allegro.

        Raises:
            ResourceError: this process has no overlay of it.
        """
        if importlib.util.find_spec("nequip") is None:
            raise ResourceError(
                "nequip cannot be imported on this machine: Allegro's packages are no part of the environment. Run "
                "`mfsweep env allegro` (on a cluster, in the image of every node), or set MFSWEEP_OVERLAYS to a folder "
                "that all nodes share"
            )
        from mfsweep.models.allegro.network import AllegroPotential

        return AllegroPotential
