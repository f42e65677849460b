"""The structures that are looked at, and their bonds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.data import covalent_radii
from ase.geometry import get_distances
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, nearest

BONDED = 1.25
"""Atoms are bonded that are no further apart than this times the sum of their covalent radii."""


class Named(NamedTuple):
    """A structure and what the record calls it."""

    name: str
    atoms: Atoms


def builtin(names: Sequence[str], known: Collection[int]) -> list[Named]:
    """Return molecules of ASE's G2 set whose elements are all known.

    Raises:
        DataError: no such name, or no molecule that is known whole.
    """
    for name in names:
        if name not in g2.names:
            raise DataError(f"molecules: ASE's G2 set has none called {name!r}.{nearest(name, g2.names)}")
    found = [Named(name, molecule(name)) for name in names]
    found = [one for one in found if set(one.atoms.numbers.tolist()) <= set(known)]
    if not found:
        raise DataError(
            f"none of the molecules {', '.join(names)} is made of elements that the head knows "
            f"({', '.join(SYMBOLS[z] for z in sorted(known))}): give structures with --structures FILE"
        )
    return found


def from_file(path: Path) -> list[Named]:
    """Return the structures of a file that ASE reads.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        frames: list[Atoms] = list(ase.io.iread(path, index=":"))
    except Exception as error:  # whatever one of ASE's many readers raises
        raise DataError(f"--structures {path}: ASE cannot read it ({type(error).__name__}: {error})") from error
    if not frames:
        raise DataError(f"--structures {path}: it holds no structures")
    found = []
    for number, frame in enumerate(frames):
        bare = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        found.append(Named(f"{number}: {bare.get_chemical_formula()}", bare))
    return found


def pairs_of(atoms: Atoms) -> NDArray[np.float64]:
    """Return (n, n) distances, the nearest images' where it is periodic, over the sums of covalent radii."""
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    radii = covalent_radii[atoms.numbers]
    return np.asarray(distances / (radii[:, None] + radii[None, :]))


def bonds_of(atoms: Atoms) -> NDArray[np.int64]:
    """Return the bonds, (b, 2) with the earlier atom first."""
    return np.argwhere(np.triu(pairs_of(atoms) < BONDED, 1))


def halves(atoms: Atoms) -> list[tuple[int, int, NDArray[np.bool_]]]:
    """Return each bond of a molecule that no ring holds: its two atoms, and (n,) what moves with the second."""
    bonds = bonds_of(atoms)
    found = []
    for place, (first, second) in enumerate(bonds.tolist()):
        others = np.delete(bonds, place, axis=0)
        graph = coo_array((np.ones(len(others)), (others[:, 0], others[:, 1])), shape=(len(atoms), len(atoms)))
        _, part = connected_components(graph, directed=False)
        if part[first] != part[second]:
            found.append((first, second, part == part[second]))
    return found
