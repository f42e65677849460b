"""Some structures in flat arrays: what of them the judgements ask again and again.

Shapes: `n` structures and `a` atoms of one chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk


def carries(chunk: Chunk, method: str) -> NDArray[np.bool_]:
    """Return which structures have all labels of a method, (n,)."""
    has = ~np.isnan(chunk.energies[method])
    return has & ~np.isnan(chunk.forces[method][starts(chunk), 0]) if method in chunk.forces else has


def any_atom(chunk: Chunk, flags: Any) -> NDArray[np.bool_]:
    """Return which structures have an atom with the flag, (n,).

    Args:
        chunk: the structures.
        flags: (a,) or (a, 3), one or three for each atom.
    """
    return np.logical_or.reduceat(flags.reshape(len(flags), -1).any(axis=1), starts(chunk))


def take(chunk: Chunk, keep: NDArray[np.bool_]) -> Chunk:
    """Return some of the structures.

    Args:
        chunk: the structures.
        keep: (n,).
    """
    atoms = np.repeat(keep, chunk.sizes)
    return Chunk(
        sizes=chunk.sizes[keep],
        species=chunk.species[atoms],
        positions=chunk.positions[atoms],
        energies={method: energy[keep] for method, energy in chunk.energies.items()},
        forces={method: forces[atoms] for method, forces in chunk.forces.items()},
        cell=None if chunk.cell is None else chunk.cell[keep],
        pbc=None if chunk.pbc is None else chunk.pbc[keep],
        charge=None if chunk.charge is None else chunk.charge[keep],
        columns={
            name: [texts[index] for index in np.flatnonzero(keep).tolist()] for name, texts in chunk.columns.items()
        },
    )


def starts(chunk: Chunk) -> NDArray[np.int64]:
    """Return the first atom of each structure, (n,)."""
    return np.cumsum(chunk.sizes) - chunk.sizes
