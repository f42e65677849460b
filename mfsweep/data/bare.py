"""Structures without labels, such as a model is asked about: from atoms or plain arrays to what `assemble` reads.

Shapes: `n` structures, `a` atoms of all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.batch import Batch, assemble
from mfsweep.data.neighbours import Edges, neighbours
from mfsweep.data.structures import SYMBOLS, Labels, Structures

if TYPE_CHECKING:
    from ase import Atoms

_NOTHING = "nothing"
"""Name of the labels that are not there."""


class Bare(NamedTuple):
    """What of a dataset the making of batches reads."""

    structures: Structures

    def edges(self, cutoff: float) -> Edges:
        """Return the neighbours of every atom within `cutoff` angstrom."""
        return neighbours(self.structures, cutoff)

    @property
    def place(self) -> str:
        """Return what messages call the origin of the structures."""
        return "the given structures"


def unlabelled(
    sizes: NDArray[np.integer],
    species: NDArray[np.uint8],
    positions: NDArray[np.floating],
    *,
    charge: NDArray[np.int16] | None = None,
    cell: NDArray[np.float64] | None = None,
    pbc: NDArray[np.bool_] | None = None,
    method: str = _NOTHING,
) -> Structures:
    """Return structures whose labels are all NaN.

    Args:
        sizes: (n,) atoms of each.
        species: (a,) atomic numbers.
        positions: (a, 3) angstrom.
        charge: (n,), None where it is not known.
        cell: (n, 3, 3) lattice vectors as rows, angstrom; None where no structure is periodic.
        pbc: (n, 3); None likewise.
        method: what the labels are called.
    """
    count, offsets = len(sizes), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    nothing = Labels(np.full(count, np.nan), np.full((int(offsets[-1]), 3), np.nan, np.float32))
    return Structures(
        offsets=offsets,
        species=species,
        positions=np.asarray(positions, np.float64),
        formula=np.zeros(count, np.int32),
        formulae=("",),
        rank=np.arange(count, dtype=np.int32),
        labels={method: nothing},
        charge=charge,
        cell=cell,
        pbc=pbc,
    )


def without_labels(structures: Structures, indices: NDArray[np.integer]) -> Structures:
    """Return some structures in the order of `indices`, without their labels and texts."""
    atoms = structures.atoms_of(indices)
    return unlabelled(
        structures.sizes[indices],
        structures.species[atoms],
        structures.positions[atoms],
        charge=None if structures.charge is None else structures.charge[indices],
        cell=None if structures.cell is None else structures.cell[indices],
        pbc=None if structures.pbc is None else structures.pbc[indices],
    )


def of_atoms(atoms: Sequence[Atoms]) -> Structures:
    """Return the structures of some ase.Atoms, in their order; a lattice vector that is not periodic counts zero."""
    pbc = np.array([one.pbc for one in atoms], np.bool_).reshape(-1, 3)
    periodic = bool(pbc.any())
    cell = np.array([one.cell.array for one in atoms], np.float64).reshape(-1, 3, 3) * pbc[:, :, None]
    return unlabelled(
        np.array([len(one) for one in atoms], np.int64),
        np.concatenate([np.zeros(0, np.uint8), *(one.numbers.astype(np.uint8) for one in atoms)]),
        np.concatenate([np.zeros((0, 3)), *(one.positions for one in atoms)]),
        cell=cell if periodic else None,
        pbc=pbc if periodic else None,
    )


def bare_batch(structures: Structures, cutoff: float) -> Batch:
    """Return all of some structures as one batch without labels or offsets.

    Args:
        structures: of `unlabelled` or `of_atoms`.
        cutoff: neighbours within this distance, angstrom.
    """
    (method,) = structures.labels
    zero = dict.fromkeys(range(len(SYMBOLS)), 0.0)
    everything = np.arange(len(structures.formula))
    return assemble(Bare(structures), everything, method, zero, cutoff, with_forces=False)  # pyright: ignore[reportArgumentType] (all that it reads is there)
