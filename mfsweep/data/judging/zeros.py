"""Forces that are exactly zero on all atoms: filled in by a program, or those of a structure at rest.

A structure at rest has them by symmetry (a perfect crystal) or, to the digits of a file, at a minimum. Two structures
of the same atoms in two shapes cannot both be at rest by chance. So zeros are taken for filled in where another
structure of the same atoms has them too in another shape: of molecules any other; of crystals one in which the atoms
have moved a little in the cell, since different lattices of the same atoms may all be perfect.

Shapes: `n` structures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.chunks import any_atom, starts

MOVED = 2e-3
"""Angstrom by which some distance from the centre or the first atom differs in another shape, at least."""
A_LITTLE = 0.5
"""Angstrom by which the atoms of a crystal move, root mean square, at most."""

Array = NDArray[np.float64]


def all_zero(chunk: Chunk, method: str) -> NDArray[np.bool_]:
    """Return which structures of two atoms or more have forces that are all exactly zero, (n,)."""
    if method not in chunk.forces:
        return np.zeros(len(chunk.sizes), np.bool_)
    return ~any_atom(chunk, chunk.forces[method] != 0) & (chunk.sizes > 1)


def filled_in(chunk: Chunk, method: str) -> NDArray[np.bool_]:
    """Return of which structures such forces cannot be those of a structure at rest, (n,)."""
    zero = all_zero(chunk, method)
    found = np.zeros_like(zero)
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    begin = starts(chunk)
    for index in np.flatnonzero(zero).tolist():
        atoms = slice(begin[index], begin[index] + chunk.sizes[index])
        pbc = b"" if chunk.pbc is None or not chunk.pbc[index].any() else chunk.pbc[index].tobytes()
        groups.setdefault((chunk.species[atoms].tobytes(), pbc), []).append(index)
    for (species, pbc), members in groups.items():
        if len(members) < 2:
            continue
        own = np.array(members)
        places = chunk.positions[begin[own][:, None] + np.arange(len(species))].astype(np.float64)
        moved = _in_cells(places, chunk.cell[own]) if pbc and chunk.cell is not None else _in_space(places)
        # Each against the one before it, the first against the second.
        found[own] = np.append(moved[:1], moved)
    # Where some were filled in, so were those that have no other structure to tell it.
    periodic = np.zeros_like(zero) if chunk.pbc is None else chunk.pbc.any(axis=1)
    for kind in (periodic, ~periodic):
        if (found & kind).any():
            found |= zero & kind
    return found


def _in_space(places: Array) -> NDArray[np.bool_]:
    """Return whether each of some molecules, (g, m, 3), has another shape than the one before it, (g - 1,)."""
    around = places - places.mean(axis=1, keepdims=True)
    lengths = np.concatenate([around, places - places[:, :1]], axis=1)
    return (np.abs(np.diff(np.linalg.norm(lengths, axis=2), axis=0)) > MOVED).any(axis=1)


def _in_cells(places: Array, cell: Array) -> NDArray[np.bool_]:
    """Return whether the atoms of each of some crystals have moved a little in the cell since the one before it."""
    fraction = np.einsum("gmi,gij->gmj", places, np.linalg.pinv(cell))
    step = np.diff(fraction - fraction[:, :1], axis=0)
    step = np.einsum("gmj,gjk->gmk", step - np.round(step), cell[1:])
    distance = np.sqrt((step**2).sum(axis=2).mean(axis=1))
    return (distance > MOVED) & (distance < A_LITTLE)
