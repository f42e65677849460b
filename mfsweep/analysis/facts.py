"""What a report needs to know of the data, and cannot read from records: given to it as plain arrays.

Legend: `S` structures, `A` atoms, `Z` elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.records import CellRecord

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class SubsetPart(NamedTuple):
    """One part of one subset: who trains, stops or tests on what."""

    subset: str
    part: str
    """train | validation | test."""
    structures: int
    formulae: int
    sizes: Mapping[int, int]
    """Atoms -> structures."""
    elements: Mapping[str, int]
    """Element symbol -> atoms."""
    labels: Mapping[str, int]
    """Label method -> structures that carry it."""

    @property
    def name(self) -> str:
        """Return `b: validation`."""
        return f"{self.subset}: {self.part}"


class Facts(NamedTuple):
    """What the data say of structures that a cell's result has predicted."""

    formulae: tuple[str, ...]
    """(S,) chemical formulae."""
    elements: tuple[str, ...]
    """(Z,) symbols."""
    kind: Integers
    """(A,) index into `elements`, structure after structure."""
    forces: Floats | None
    """(A, 3) reference forces, eV/angstrom; None where no method of the data has them for all these structures."""
    forces_of: str
    """Label method of the forces."""
    distance: Floats | None
    """(S,) distance from the nearest structure that the cell was trained on (data/nearness.py); None: not known."""


Look = Callable[[CellRecord, Integers, str], Facts]
"""Gives what the data say of the structures (S,) that a cell's result has predicted, against a label method."""
