"""What is in a source, as records: sizes, elements, labels and how they agree, and what looks wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mfsweep.data.rounding import Rounding

TAIL = 0.005
"""Share of the values beyond each end of a histogram."""


class StructureSizes(NamedTuple):
    """Atoms of the structures."""

    least: int
    median: float
    mean: float
    most: int
    largest: str
    """The first of the largest structures."""
    histogram: dict[int, int]
    """Atoms -> structures of this size."""


class Element(NamedTuple):
    """How much of a source is of one element."""

    atoms: int
    structures: int
    """Those that hold any."""


class Histogram(NamedTuple):
    """A histogram of the values between the TAIL quantiles."""

    edges: list[float]
    density: list[float]
    """One fewer: share of all values per unit."""


class Far(NamedTuple):
    """Structures whose value of some kind lies far from the others'."""

    structures: int
    threshold: float
    """Robust z-score from which on a value is an outlier."""
    median: float
    spread: float
    """Robust standard deviation: a score counts these."""
    first: list[tuple[str, float]]
    """The farthest ones and their scores."""


class Forces(NamedTuple):
    """A method's forces; eV/angstrom."""

    structures: int
    """Those with forces on all atoms."""
    rms: float
    """Root mean square of the components."""
    far: Far
    """By the largest force of each structure."""


class MethodSurvey(NamedTuple):
    """One label method."""

    structures: int
    """Those with an energy."""
    forces: Forces | None
    """None for an energy-only method."""
    flaws: dict[str, int]
    """What cannot be trained on -> structures."""
    offsets: dict[str, float]
    """Element -> energy offset by least squares on all structures with the label, eV."""
    determined: bool
    """Whether the compositions fix all offsets."""
    spread: float
    """Standard deviation of the energies after the offsets, eV/atom."""
    judgement: list[str]
    """What the judge of data (data/judging) refuses or warns of."""
    rounding: Rounding | None
    """How float32 has rounded the energies; None where they were not stored so."""
    far: Far
    """By energy per atom after the offsets, eV."""
    histogram: Histogram | None
    """Energy per atom after the offsets, meV."""


class MethodPair(NamedTuple):
    """Two label methods on the structures that carry both, each after its own energy offsets."""

    methods: tuple[str, str]
    structures: int
    mean_abs: float
    """Mean absolute difference, meV/atom; NaN below two structures."""
    pearson: float
    """Correlation of their energies per atom; NaN where one does not vary."""
    histogram: Histogram | None
    """The first less the second, meV/atom."""


class Copies(NamedTuple):
    """Structures that are the same as an earlier one."""

    structures: int
    first: list[tuple[str, str]]
    """Pairs: a structure, and a later one that is the same."""
    conflicts: list[str]
    """How their labels differ, a sentence for each method."""


class Info(NamedTuple):
    """A source as it is shown."""

    structures: int
    atoms: int
    sizes: StructureSizes
    formulae: int
    commonest: list[tuple[str, int]]
    """The formulae with the most structures."""
    elements: dict[str, Element]
    periodic: int
    """Structures that repeat in any direction."""
    charged: int | None
    """None where no charges are stated: all are taken for neutral."""
    odd_electrons: int
    """Molecules with an odd number of electrons; in crystals bands are half filled."""
    columns: dict[str, int]
    """Text column -> distinct values."""
    methods: dict[str, MethodSurvey]
    pairs: list[MethodPair]
    duplicates: Copies
    flaws: dict[str, int]
    """What is wrong with geometries -> structures."""


def plain(value: object) -> object:
    """Return a record as plain data for JSON: NaN, which JSON does not have, becomes None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, Mapping):
        return {str(name): plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
