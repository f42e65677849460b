"""Passes over all atoms of a source in blocks of whole structures, so that memory stays bounded whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures

ATOMS_AT_ONCE = 500_000
"""Atoms in a block, but for a structure that has more: some tens of MB of temporaries."""


class StructureBlock(NamedTuple):
    """Some structures that lie side by side."""

    structures: slice
    atoms: slice
    starts: NDArray[np.int64]
    """(n,) first atom of each structure, counted from the block's first: what `reduceat` takes."""


def blocks(structures: Structures) -> Iterator[StructureBlock]:
    """Yield all structures in blocks of about ATOMS_AT_ONCE atoms."""
    offsets = structures.offsets
    start = 0
    while start < len(offsets) - 1:
        reached = int(np.searchsorted(offsets, offsets[start] + ATOMS_AT_ONCE, side="right")) - 1
        stop = max(reached, start + 1)
        first, end = int(offsets[start]), int(offsets[stop])
        yield StructureBlock(slice(start, stop), slice(first, end), offsets[start:stop] - first)
        start = stop
