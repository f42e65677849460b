"""Atoms at one place: no structure has them, and a model gives NaN for their forces.

Two atoms that lie closer than CLOSE lie as close along any line. So the atoms of each structure are sorted along one
line, and each is compared with the next ones as long as these are near along it: hardly more than a sort, for
structures of any size. Of periodic structures the atoms near a face of the cell are there a second time, beyond the
opposite face.

Shapes: `n` structures and `a` atoms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk

CLOSE = 0.05
"""Angstrom: two protons this near repel each other by 288 eV."""
LINE = np.sqrt([0.2, 0.3, 0.5])
"""Unit vector along which atoms are sorted; no lattice has a plane across it."""

Array = NDArray[np.float64]


def coincident(chunk: Chunk) -> NDArray[np.bool_]:
    """Return which structures have two atoms closer than CLOSE, (n,)."""
    places = chunk.positions.astype(np.float64)
    owner = np.repeat(np.arange(len(chunk.sizes)), chunk.sizes)
    atom = np.arange(len(places))
    if chunk.pbc is not None and chunk.cell is not None and chunk.pbc.any():
        places, atom = _with_images(places, owner, chunk.cell, chunk.pbc)
        owner = owner[atom]
    places[~np.isfinite(places)] = np.nan  # another flaw; NaN is near nothing
    along = places @ LINE
    order = np.lexsort((along, owner))
    places, owner, along, atom = places[order], owner[order], along[order], atom[order]
    found = np.zeros(len(chunk.sizes), np.bool_)
    here = np.arange(len(places))
    for step in range(1, len(places)):
        here = here[here + step < len(places)]
        near = (owner[here + step] == owner[here]) & (along[here + step] - along[here] < CLOSE)
        here = here[near]
        if not len(here):
            break
        apart = ((places[here + step] - places[here]) ** 2).sum(axis=1)
        found[owner[here[(apart < CLOSE**2) & (atom[here + step] != atom[here])]]] = True
    return found


def _with_images(
    places: Array, owner: NDArray[np.int64], cell: Array, pbc: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.int64]]:
    """Return places in the cell with those just beyond its faces, (b, 3), and whose they are, (b,)."""
    sound = np.asarray(np.isfinite(cell).all(axis=(1, 2)))
    cell = np.where(sound[:, None, None], cell, 0.0)
    dual = np.linalg.pinv(cell)  # columns; of vectors that are zero, zero
    length = np.linalg.norm(dual, axis=1)  # over the heights of the cell
    repeats = pbc & sound[:, None] & (length > 0)
    with np.errstate(invalid="ignore"):
        fraction = np.einsum("ai,aij->aj", places, dual[owner])
        inside = np.where(repeats[owner], fraction - np.floor(fraction), fraction)
        places = places + np.einsum("ai,aij->aj", inside - fraction, cell[owner])
    atom = np.arange(len(places))
    for axis in range(3):
        own = owner[atom]
        with np.errstate(invalid="ignore"):
            edge = repeats[own, axis] & (inside[:, axis] < CLOSE * length[own, axis])
        places = np.concatenate([places, places[edge] + cell[own[edge], axis]])
        inside = np.concatenate([inside, inside[edge]])
        atom = np.concatenate([atom, atom[edge]])
    return places, atom
