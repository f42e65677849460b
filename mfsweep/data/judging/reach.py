"""How far atoms lie from their nearest neighbours, which tells angstrom from bohr.

An atom of a molecule has a neighbour at about the sum of both covalent radii (B. Cordero et al., Dalton Trans. 2008,
2832): of the bundled structures the median over a structure's atoms lies between 0.75 and 1.11 times that sum. In bohr
that were taken for angstrom it is 1.89 times as large. Atoms of noble gases, and single ones, have no such neighbour,
and those of a crystal may have theirs in the next cell: none of these are asked.

Shapes: `n` structures and `a` atoms of one chunk.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.chunks import any_atom, starts
from mfsweep.data.units import BOHR, LENGTHS

_RADII = """
0.31 0.28 1.28 0.96 0.84 0.76 0.71 0.66 0.57 0.58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 2.03 1.76 1.70 1.60 1.53 1.39
1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16 2.20 1.95 1.90 1.75 1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44
1.42 1.39 1.39 1.38 1.39 1.40 2.44 2.15 2.07 2.04 2.03 2.01 1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87 1.75
1.70 1.62 1.51 1.44 1.41 1.36 1.36 1.32 1.45 1.46 1.48 1.40 1.50 1.50 2.60 2.21 2.15 2.06 2.00 1.96 1.90 1.87 1.80 1.69
"""
RADII = np.array([np.nan, *map(float, _RADII.split())])
"""Atomic number -> covalent radius, angstrom; up to curium."""
NOBLE = (2, 10, 18, 36, 54, 86)
LARGEST = 200
"""Atoms of a structure at most: all its pairs are looked at."""
PAIRS = 2_000_000
"""Pairs that are looked at together."""
FAR = (1.5, 2.4)
"""Times the sum of covalent radii: bohr that were read as angstrom."""
NEAR = (FAR[0] * BOHR**2, FAR[1] * BOHR**2)
"""The same of angstrom that were read as bohr."""


def reach(chunk: Chunk) -> NDArray[np.float64]:
    """Return the distance of nearest neighbours over the sum of their covalent radii.

    Returns:
        (n,) the median over the atoms of each structure; NaN where it is not asked.
    """
    found = np.full(len(chunk.sizes), np.nan)
    noble = np.isin(chunk.species, NOBLE) | (chunk.species >= len(RADII))
    asked = (chunk.sizes > 1) & (chunk.sizes <= LARGEST) & ~any_atom(chunk, noble | ~_finite(chunk))
    if chunk.pbc is not None:
        asked &= ~chunk.pbc.any(axis=1)
    for size in np.unique(chunk.sizes[asked]).tolist():
        own = np.flatnonzero(asked & (chunk.sizes == size))
        for some in np.array_split(own, -(-len(own) * size**2 // PAIRS)):
            atoms = starts(chunk)[some][:, None] + np.arange(size)
            places, radii = chunk.positions[atoms].astype(np.float64), RADII[chunk.species[atoms]]
            apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
            apart /= radii[:, :, None] + radii[:, None]
            apart[:, np.arange(size), np.arange(size)] = np.inf
            found[some] = np.median(apart.min(axis=2), axis=1)
    return found


def other_length(found: NDArray[np.float64], unit: str) -> str | None:
    """Return that positions look like another unit of length, None where they do not.

    Args:
        found: (n,) what `reach` found in some structures, all finite.
        unit: in which the positions were read.
    """
    usual = float(np.median(found))
    low, high = FAR if unit == "Ang" else NEAR
    if not low <= usual <= high:
        return None
    other = next(length for length in LENGTHS if length != unit)
    return (
        f"the positions were read as {unit}, but look like {other}: atoms lie {usual:.2f} times the sum of their "
        "covalent radii from their nearest neighbours (usual: 0.75 to 1.1). If they are, import the file with "
        f"--unit positions={other}"
    )


def _finite(chunk: Chunk) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(chunk.positions).all(axis=1))
