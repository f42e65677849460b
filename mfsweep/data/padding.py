"""Batches filled up to few sizes, so that what was prepared for a size serves many batches.

What is added counts nothing: the added atoms stand in a row, further apart than the cutoff, so no message passes
between them; they belong to added structures whose number of atoms is infinite, so every term of the loss, which is
divided by it, is zero, and its gradient too. The real structures, atoms and pairs come first.

Legend: S structures, A atoms, E edges.
"""

from __future__ import annotations

import numpy as np

from mfsweep.data.batch import Batch

_ATOMS = 8
"""Atoms that are added at least: each added pair stands between two of them, and many on one would wait in line."""
_FINENESS = 8
"""Sizes from one power of two to the next: a batch grows by an eighth at most, but for the added atoms."""


def bucket(number: int) -> int:
    """Return the size that a number is filled up to: a multiple of an eighth of the power of two at or below it."""
    step = max(1, (1 << (max(number, 1).bit_length() - 1)) // _FINENESS)
    return -(-number // step) * step


def padded(batch: Batch, cutoff: float) -> Batch:
    """Return a batch filled up; `index` stays that of the (S,) real structures.

    Args:
        batch: of at least one atom.
        cutoff: neighbours within this distance, angstrom.
    """
    real, pairs = len(batch.species), batch.edge_index.shape[1] // 2
    atoms = bucket(real + _ATOMS) - real
    more = bucket(pairs + 1) - pairs
    structures = bucket(len(batch.atoms) + 1) - len(batch.atoms)
    first = real + np.arange(more) % atoms
    second = real + (np.arange(more) + 1) % atoms
    own, turned = batch.edge_index[:, :pairs], batch.edge_index[:, pairs:]
    row = np.zeros((atoms, 3))
    row[:, 0] = 1.5 * cutoff * np.arange(atoms)
    return Batch(
        method=batch.method,
        species=np.concatenate([batch.species, np.full(atoms, batch.species[0])]),
        positions=np.concatenate([batch.positions, row]),
        structure=np.concatenate([batch.structure, np.full(atoms, len(batch.atoms))]),
        ptr=np.concatenate([batch.ptr, np.full(structures, real + atoms)]),
        edge_index=np.concatenate([own, [first, second], turned, [second, first]], axis=1),
        shifts=None if batch.shifts is None else np.concatenate([batch.shifts, np.zeros((more, 3))]),
        energy=np.concatenate([batch.energy, np.zeros(structures)]),
        forces=None if batch.forces is None else np.concatenate([batch.forces, np.zeros((atoms, 3), np.float32)]),
        atoms=np.concatenate([batch.atoms, np.full(structures, np.inf)]),
        index=batch.index,
    )
