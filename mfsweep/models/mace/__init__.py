"""MACE by mace-torch (arXiv:2206.07697): its fields, size and cost; `network.py` computes.

Accurate for its size of training set, and the dearest to train; there are foundation models of it to start from.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mfsweep.models.architecture import Architecture, MakesPotential, PackageFiles, Starter, Timed, dense
from mfsweep.spec.base import Int, NonNegativeInt, PositiveFloat, PositiveInt

LARGE = Starter("{architecture: mace, channels: 64, max_L: 1}", "a quarter of the width of the study's largest model")
SMALL = Starter(
    "{architecture: mace, channels: 16, max_L: 0, max_ell: 2, correlation: 2, radial_hidden: [32, 32]}",
    "small, for CPUs and few data; raise channels and max_L with more of both",
)


class Mace(Architecture):
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

    PACKAGES: ClassVar = ("mace-torch", "e3nn")
    SHOWN: ClassVar = ("channels",)
    FIRST_FEATURES: ClassVar = "channels"

    def weights(self, elements: int, readouts: Sequence[Sequence[int]]) -> int:
        """Return how many parameters its models have, layer by layer as mace-torch makes them."""
        square = self.channels**2
        count = elements * self.channels
        for layer in range(self.layers):
            first, last = layer == 0, layer == self.layers - 1
            inward, outward = (0 if first else self.max_L), (0 if last else self.max_L)
            paths = self._paths(inward)
            count += (inward + 1) * square  # linear_up
            count += dense(self.bessel, *self.radial_hidden, paths * self.channels) + paths * square
            skips_message = first and self.interaction_first != "residual"
            skipped = self.max_ell if skips_message else min(inward, outward)
            count += (skipped + 1) * elements * square
            count += sum(self._products(order) for order in range(outward + 1)) * elements * self.channels
            count += (outward + 1) * square
        return count + (self.layers - 1) * self.channels * len(readouts) + self._readouts(readouts)

    def _paths(self, highest: int) -> int:
        """Return how many ways features up to an order couple with the harmonics to an order of the message."""
        return sum(
            (first + second + third) % 2 == 0
            for first in range(highest + 1)
            for second in range(self.max_ell + 1)
            for third in range(abs(first - second), min(first + second, self.max_ell) + 1)
        )

    def _products(self, order: int) -> int:
        """Return how many products of up to `correlation` components couple to an order of its natural parity."""
        return sum(self._couplings(bodies)[order, order % 2] for bodies in range(1, self.correlation + 1))

    def _couplings(self, bodies: int) -> Counter[tuple[int, int]]:
        """Return (order, parity) -> in how many ways so many components couple to it."""
        ways = Counter({(order, order % 2): 1 for order in range(self.max_ell + 1)})
        for _ in range(bodies - 1):
            more: Counter[tuple[int, int]] = Counter()
            for ((own, parity), times), other in itertools.product(ways.items(), range(self.max_ell + 1)):
                for order in range(abs(own - other), own + other + 1):
                    more[order, (parity + other) % 2] += times
            # Of four, mace-torch leaves out what passes through another parity (mace/tools/cg.py).
            ways = Counter({key: times for key, times in more.items() if bodies != 4 or key[0] % 2 == key[1]})
        return ways

    def _readouts(self, heads: Sequence[Sequence[int]]) -> int:
        """Return how many parameters the last layer's readout has: mace-torch's block unless a head is enlarged."""
        if all(tuple(hidden) == (self.readout_hidden,) for hidden in heads):
            return dense(self.channels, len(heads) * self.readout_hidden, len(heads))
        return sum(dense(self.channels, *hidden, 1) for hidden in heads)

    def effort(self) -> float:
        """Return layers x channels x (highest order + 1)^2."""
        return self.layers * self.channels * (self.max_L + 1) ** 2

    @classmethod
    def measured(cls) -> tuple[Timed, ...]:
        """Return batches that 253 atoms of 33 molecules fill, with 2,028 edges."""
        return (
            Timed(cls(channels=16, max_L=0, max_ell=2, correlation=2), 0.12, 0.06),
            Timed(cls(channels=32), 0.63, 0.27),
            Timed(cls(channels=64), 1.9, 1.1),
            Timed(cls(channels=256), 7.6, 3.2),
        )

    @classmethod
    def potential(cls) -> MakesPotential:
        """Import mace-torch."""
        from mfsweep.models.mace.network import MacePotential

        return MacePotential

    @classmethod
    def files(cls) -> PackageFiles:
        """Import mace-torch, and what saves as it does."""
        from mfsweep.models.mace import file

        return file
