"""The ANI-1x HDF5 layout: its groups and their values. `importing/ani.py` makes structures of them.

One group per formula or molecule: `atomic_numbers` (Na,), `coordinates` (Nc, Na, 3) angstrom, energies (Nc,) hartree,
forces (Nc, Na, 3) hartree/angstrom, perhaps `charge` (Nc,) or a scalar. NaN, or a group without the key, means no
such label. Formulae come from the atomic numbers, never from a group's name.

Shapes: `Nc` conformers and `Na` atoms of one group, `S` and `A` as in structures.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.hdf5 import opened, require_size, require_stored
from mfsweep.data.structures import SYMBOLS, hill_formula
from mfsweep.data.units import HARTREE, Units
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

LAYOUT = "an HDF5 file of the ANI-1x layout"
CHARGE = "charge"
"""Key of the total charge."""
_POSITION = 24
"""Bytes of an atom's position in memory."""


class GroupSlices(NamedTuple):
    """One group's place in the flat arrays."""

    node: h5py.Group
    numbers: NDArray[np.uint8]
    """(Na,) atomic numbers."""
    conformers: slice
    atoms: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Return Nc and Na."""
        return self.conformers.stop - self.conformers.start, len(self.numbers)


def keys(path: Path) -> set[str]:
    """Return the keys of all labels that some group of a file has.

    Raises:
        DataError: as of `survey`, or a file that cannot be opened.
    """
    with opened(path, LAYOUT) as file:
        return label_keys(survey(path, file))


class FileCounts(NamedTuple):
    """How much a file holds."""

    structures: int
    atoms: int
    formulae: int


def counts(path: Path) -> FileCounts:
    """Return how much a file holds; no coordinates and no labels are read.

    Raises:
        DataError: as of `survey`.
    """
    with opened(path, LAYOUT) as file:
        groups = survey(path, file)
        formulae = {hill_formula(group.numbers) for group in groups}
        return FileCounts(groups[-1].conformers.stop, groups[-1].atoms.stop, len(formulae))


def single_atoms(path: Path) -> list[tuple[str, int, float]]:
    """Return the energies of groups of one atom: key, atomic number, lowest energy of its conformers in eV.

    Raises:
        DataError: as of `keys`.
    """
    found: list[tuple[str, int, float]] = []
    with opened(path, LAYOUT) as file:
        if not any(_is_single(node) for node in file.values()):
            return found
        for group in survey(path, file):
            if len(group.numbers) > 1:
                continue
            for key, node in group.node.items():
                if not (isinstance(node, h5py.Dataset) and node.shape == group.shape[:1] and node.dtype.kind == "f"):
                    continue
                energies = values(path, group, str(key), group.shape[:1]).astype(np.float64)
                known = energies[np.isfinite(energies)]
                if len(known):
                    found.append((str(key), int(group.numbers[0]), float(known.min()) * HARTREE))
    return found


def _is_single(node: object) -> bool:
    listed = node.get("atomic_numbers") if isinstance(node, h5py.Group) else None
    return isinstance(listed, h5py.Dataset) and listed.shape == (1,)


class Numbers(NamedTuple):
    """Positions and labels of n conformers of a group, in angstrom and eV."""

    positions: NDArray[np.float64]
    """(n * Na, 3)."""
    energies: dict[str, NDArray[np.float64]]
    """Method -> (n,), NaN where there is no label."""
    forces: dict[str, NDArray[np.float32]]
    """Method with forces -> (n * Na, 3)."""


def numbers(
    path: Path, group: GroupSlices, labels: Mapping[str, LabelKeys], units: Units, rows: slice | None = None
) -> Numbers:
    """Read positions and labels of a group.

    Args:
        path: the file, for messages.
        group: the group.
        labels: label method -> keys; a group without a key has no such label.
        units: of the file.
        rows: conformers to read. Default: all.

    Raises:
        DataError: as of `values`.
    """
    begin, end, _ = (rows or slice(None)).indices(group.shape[0])
    energies: dict[str, NDArray[np.float64]] = {}
    forces: dict[str, NDArray[np.float32]] = {}
    for method, keys in labels.items():
        energies[method] = np.full(end - begin, np.nan)
        if keys.energy in group.node:
            found = values(path, group, keys.energy, group.shape[:1], rows)
            energies[method] = found.astype(np.float64) * units.energy_factor
        if keys.forces is None:
            continue
        forces[method] = np.full(((end - begin) * len(group.numbers), 3), np.nan, np.float32)
        if keys.forces in group.node:
            # The product is taken before rounding to float32: float64 files lose nothing by the conversion.
            found = values(path, group, keys.forces, (*group.shape, 3), rows).reshape(-1, 3)
            with np.errstate(over="ignore", invalid="ignore"):  # becomes inf, which is refused later
                forces[method] = (found.astype(np.float64) * units.forces_factor).astype(np.float32)
    found = values(path, group, "coordinates", (*group.shape, 3), rows).reshape(-1, 3)
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is refused later
        return Numbers(found.astype(np.float64) * units.positions_factor, energies, forces)


def charges(path: Path, group: GroupSlices, key: str, rows: slice | None = None) -> NDArray[np.int16]:
    """Read the total charges of a group: of all conformers together or of each, 0 where the key is not there.

    Raises:
        DataError: as of `values`, or numbers that are not whole.
    """
    begin, end, _ = (rows or slice(None)).indices(group.shape[0])
    node = group.node.get(key)
    if node is None:
        return np.zeros(end - begin, np.int16)
    if isinstance(node, h5py.Dataset) and node.shape == ():
        found = np.broadcast_to(values(path, group, key, ()), end - begin)
    else:
        found = values(path, group, key, group.shape[:1], rows)
    with np.errstate(invalid="ignore"):  # what no int16 holds becomes another number, which is refused
        charge = found.astype(np.int16)
    if not np.array_equal(charge, found):
        raise DataError(
            f"{path}: group {group.node.name!r}, key {key!r}: expected whole numbers, got others. Import the file: "
            "--charge KEY for another key, or --charge none to take no charges"
        )
    return charge


def survey(path: Path, file: h5py.File) -> list[GroupSlices]:
    """Return the groups of an open file that hold conformers, by name; nothing but atomic numbers is read.

    Raises:
        DataError: the file is not of this layout, holds no structures, or declares far more than it can hold.
    """
    groups: list[GroupSlices] = []
    structure = atom = 0
    for name, node in file.items():
        if not isinstance(node, h5py.Group):
            raise DataError(
                f"{path}: expected groups of conformers at the top (ANI-1x layout), got the dataset {name!r}"
            )
        coordinates, listed = (_dataset(path, node, key) for key in ("coordinates", "atomic_numbers"))
        require_stored(path, listed)
        numbers = np.asarray(listed)
        if numbers.ndim != 1 or not len(numbers) or numbers.dtype.kind not in "iu":
            raise DataError(
                f"{path}: group {name!r}: expected atomic_numbers of shape (atoms,) and integers, "
                f"got {numbers.shape} of {numbers.dtype}"
            )
        if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise DataError(f"{path}: group {name!r}: atomic_numbers hold {numbers.min()} to {numbers.max()}")
        if coordinates.shape[1:] != (len(numbers), 3):
            raise DataError(
                f"{path}: group {name!r}, key 'coordinates': expected shape (conformers, {len(numbers)}, 3), "
                f"got {coordinates.shape}"
            )
        conformers = coordinates.shape[0]
        end = atom + conformers * len(numbers)
        # Labels have the shape of the coordinates, or less: so this bounds all that can be read.
        require_size(path, f"the positions of the {end:,} atoms up to group {name!r}", end * _POSITION, file)
        if conformers:
            places = slice(structure, structure + conformers), slice(atom, end)
            groups.append(GroupSlices(node, numbers.astype(np.uint8), *places))
        structure, atom = structure + conformers, end
    if not groups:
        raise DataError(f"{path}: holds no structures: expected one group per formula (ANI-1x layout), got none")
    return groups


def _dataset(path: Path, node: h5py.Group, key: str) -> h5py.Dataset:
    found = node.get(key)
    if not isinstance(found, h5py.Dataset):
        raise DataError(
            f"{path}: group {node.name!r} has no dataset {key!r}, which the ANI-1x layout asks for."
            f"{nearest(key, node.keys())}"
        )
    return found


def label_keys(groups: list[GroupSlices]) -> set[str]:
    """Return all that groups hold besides geometries."""
    return {str(key) for group in groups for key in group.node} - {"atomic_numbers", "coordinates"}


def values(
    path: Path, group: GroupSlices, key: str, shape: tuple[int, ...], rows: slice | None = None
) -> NDArray[np.floating | np.integer]:
    """Return the values of a group's dataset.

    Args:
        path: the file, for messages.
        group: the group.
        key: name of the dataset.
        shape: that it must have.
        rows: those to read along its first axis. Default: all.

    Raises:
        DataError: another shape, no numbers, or a dataset that is not wholly in the file.
    """
    node = group.node[key]
    if not isinstance(node, h5py.Dataset) or node.shape != shape:
        got = node.shape if isinstance(node, h5py.Dataset) else "a group"
        raise DataError(
            f"{path}: group {group.node.name!r}, key {key!r}: expected shape {shape} "
            f"({group.shape[0]} conformers, {group.shape[1]} atoms), got {got}"
        )
    if node.dtype.kind not in "fiu":
        raise DataError(f"{path}: group {group.node.name!r}, key {key!r}: expected numbers, got {node.dtype}")
    require_stored(path, node)
    return node[() if rows is None else rows]
