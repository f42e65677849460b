"""HDF5 layouts of groups of conformers, at any depth: what pyanitools, torchani and SPICE have in common.

A group holds the conformers of one molecule, or of one number of atoms: positions (Nc, Na, 3), elements (Na,) or
(Nc, Na), energies (Nc,), forces or gradients (Nc, Na, 3). A layout says what these are called, and in which units.

Shapes: `Nc` conformers and `Na` atoms of one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import h5py
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue] (compiled, without stubs)
from numpy.typing import NDArray

from mfsweep.data.ani1x import GroupSlices, values
from mfsweep.data.dataset import Chunk
from mfsweep.data.hdf5 import opened, require_size, require_sound_texts, require_stored
from mfsweep.data.importing.charges import NONE
from mfsweep.data.importing.keys import ANI_UNITS, Units, require, storable
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, ImportedPart, OptionNeededError
from mfsweep.data.importing.rules import Rules
from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

_POSITION = 24
"""Bytes of an atom's position in memory."""
_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}


class Surveyed(NamedTuple):
    """A group that holds conformers."""

    name: str
    conformers: int
    atoms: int


class ConformerSource:
    """A file of such groups."""

    layout: ClassVar[str]
    """What it is called, in messages and in the provenance of a data set."""
    own_units: ClassVar[Units] = ANI_UNITS
    positions: ClassVar[str] = "coordinates"
    elements: ClassVar[tuple[str, ...]] = ("species",)
    """Names of the dataset of elements, as atomic numbers or as symbols."""
    keys: ClassVar[LabelKeys] = LabelKeys(energy="energies", forces="forces")
    """What a label method has that is named without keys."""
    method: ClassVar[str | None] = None
    """Name of the label method where the user gives none; None: one has to be given."""

    def __init__(self, path: Path, rules: Rules) -> None:
        """Look at the groups of the file; no positions and labels are read yet.

        Args:
            path: the file.
            rules: labels of None have the layout's keys, and without any there is the layout's own method; columns are
                datasets with a text for each group or conformer, by default all such; the charge is a dataset with a
                value for a group or each conformer.

        Raises:
            DataError: the file is not of this layout, or lacks a key.
        """
        self.name = path.name
        self._path = path
        self.warnings: list[str] = []
        with opened(path, f"an HDF5 file of the layout {self.layout}") as file:
            self._groups, there, texts = self._survey(file)
            self.units: Units = self._units_of(file)._replace(**rules.file_units)
        self.total: int | None = sum(group.conformers for group in self._groups)
        self.labels: Mapping[str, LabelKeys] = {} if rules.geometries else self._labels_of(rules.labels, there)
        if rules.charge not in (None, NONE):
            require(str(path), "--charge", str(rules.charge), there | {"charge"})
        self._charge_key = rules.charge or "charge"
        self.charges: list[str] = [self._charge_key] if rules.charge != NONE and self._charge_key in there else []
        for name in rules.columns or ():
            require(str(path), "--column", name, texts)
        self.columns: Sequence[str] = sorted(filter(storable, texts)) if rules.columns is None else rules.columns
        require_sound_texts(path)

    def parts(self) -> Iterator[ImportedPart]:
        """Yield all structures.

        Raises:
            DataError: a dataset of another shape or type, or damage in the file.
        """
        with opened(self._path, f"an HDF5 file of the layout {self.layout}") as file:
            for surveyed in self._groups:
                node = file[surveyed.name]
                assert isinstance(node, h5py.Group), "it was one when the file was surveyed"
                step = max(1, ATOMS_AT_ONCE // surveyed.atoms)
                for start in range(0, surveyed.conformers, step):
                    yield self._part(node, surveyed, slice(start, min(start + step, surveyed.conformers)))

    def _units_of(self, file: h5py.File) -> Units:
        """Return the units of the values; a layout that writes them into its files reads them there."""
        del file
        return self.own_units

    def _forces(self, key: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return forces, given the values of a key."""
        del key
        return values

    def _charges_of(self, node: h5py.Group, surveyed: Surveyed) -> int:
        """Return the total charge of a group's molecule where no dataset tells it."""
        del node, surveyed
        return 0

    def _survey(self, file: h5py.File) -> tuple[list[Surveyed], set[str], set[str]]:
        """Return the groups that hold conformers, the keys of numbers and of texts."""
        groups: list[Surveyed] = []
        keys, texts = set[str](), set[str]()
        atoms = 0
        for node in self._leaves(file, set()):
            name = str(node.name)
            positions = node[self.positions]
            assert isinstance(positions, h5py.Dataset), "as of _leaves"
            if positions.ndim != 3 or positions.shape[2] != 3 or not positions.shape[1]:
                raise DataError(
                    f"{self._path}: group {name!r}, key {self.positions!r}: expected shape (conformers, atoms, 3), got "
                    f"{positions.shape}"
                )
            conformers, size, _ = positions.shape
            listed = self._elements_in(node)
            if listed.shape not in ((size,), (conformers, size)):
                raise DataError(
                    f"{self._path}: {listed.name!r}: expected shape ({size},) or ({conformers}, {size}), one for "
                    f"each atom, got {listed.shape}"
                )
            atoms += conformers * size
            # Labels have the shape of the positions, or less: so this bounds all that can be read.
            require_size(self._path, f"the positions of the {atoms:,} atoms up to {name!r}", atoms * _POSITION, file)
            for key, other in node.items():
                if isinstance(other, h5py.Dataset) and key not in (self.positions, *self.elements):
                    (texts if _is_text(other) else keys).add(str(key))
            if conformers:
                groups.append(Surveyed(name, conformers, size))
        if not groups:
            raise DataError(f"{self._path}: holds no structures: expected groups of the layout {self.layout}, got none")
        return groups, keys, texts

    def _leaves(self, node: h5py.Group, seen: set[int]) -> Iterator[h5py.Group]:
        """Yield the groups that hold positions, by name.

        Raises:
            DataError: a group of datasets without them, or a group that is there twice, perhaps within itself.
        """
        address = h5o.get_info(node.id).addr
        if address in seen:
            raise DataError(f"{self._path}: the group {node.name!r} has another name too: expected each group once")
        seen.add(address)
        inner = [child for child in node.values() if isinstance(child, h5py.Group)]
        if isinstance(node.get(self.positions), h5py.Dataset):
            yield node
        elif not inner or len(inner) < len(node):
            near = nearest(self.positions, node.keys())
            raise DataError(
                f"{self._path}: group {node.name!r} has no dataset {self.positions!r}, which the layout {self.layout} "
                f"asks for.{near}"
            )
        for child in inner:
            yield from self._leaves(child, seen)

    def _elements_in(self, node: h5py.Group) -> h5py.Dataset:
        there = (node.get(key) for key in self.elements)
        found = next((child for child in there if isinstance(child, h5py.Dataset)), None)
        if found is None:
            raise DataError(
                f"{self._path}: group {node.name!r} has no dataset {self.elements[0]!r}, which {self.layout} asks "
                f"for.{nearest(self.elements[0], node.keys())}"
            )
        require_stored(self._path, found)
        return found

    def _labels_of(self, asked: Mapping[str, LabelKeys | None], there: set[str]) -> dict[str, LabelKeys]:
        if not asked and self.method is None:
            raise DataError(
                f"{self._path}: expected a name for its labels ({self.layout} has none). Say --labels NAME for "
                f"{self.keys.energy} and {self.keys.forces}, or --labels NAME=ENERGY_KEY,FORCES_KEY, or --geometries "
                f"to take the structures without labels. There are: {', '.join(sorted(there)) or 'none'}"
            )
        found: dict[str, LabelKeys] = {}
        for name, keys in (asked or {str(self.method): None}).items():
            if keys is None:
                has_forces = self.keys.forces in there
                keys = self.keys if has_forces else LabelKeys(energy=self.keys.energy)  # noqa: PLW2901 (its default)
            for key in filter(None, (keys.energy, keys.forces)):
                require(str(self._path), f"--labels {name}", key, there)
            found[name] = keys
        return found

    def _part(self, node: h5py.Group, surveyed: Surveyed, rows: slice) -> ImportedPart:
        count, size = rows.stop - rows.start, surveyed.atoms
        group = GroupSlices(node, np.zeros(size, np.uint8), slice(0, surveyed.conformers), slice(0, 0))
        shape = (surveyed.conformers, size, 3)

        def read(key: str, shape: tuple[int, ...], factor: float) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore"):  # a signalling NaN, which is refused later
                return values(self._path, group, key, shape, rows).astype(np.float64) * factor

        energies: dict[str, NDArray[np.float64]] = {}
        forces: dict[str, NDArray[np.float32]] = {}
        for method, keys in self.labels.items():
            energies[method] = np.full(count, np.nan)
            if keys.energy in node:
                energies[method] = read(keys.energy, shape[:1], self.units.energy_factor)
            if keys.forces is not None:
                forces[method] = np.full((count * size, 3), np.nan, np.float32)
                if keys.forces in node:
                    found = self._forces(keys.forces, read(keys.forces, shape, self.units.forces_factor))
                    with np.errstate(over="ignore"):  # becomes inf, which is refused later
                        forces[method] = found.reshape(-1, 3).astype(np.float32)
        chunk = Chunk(
            sizes=np.full(count, size, np.int64),
            species=self._species(node, surveyed, rows),
            positions=read(self.positions, shape, self.units.positions_factor).reshape(-1, 3),
            energies=energies,
            forces=forces,
            charge=self._charge(node, group, surveyed, rows),
            columns={column: self._texts(node, surveyed, column, rows) for column in self.columns},
        )
        place = f"{self._path}: group {surveyed.name!r}, conformer "
        return ImportedPart(chunk, lambda index: f"{place}{rows.start + index}")

    def _species(self, node: h5py.Group, surveyed: Surveyed, rows: slice) -> NDArray[np.uint8]:
        listed = self._elements_in(node)
        each = listed.ndim == 2
        found = np.asarray(listed[rows] if each else listed[()])
        if found.dtype.kind in "SUO":
            symbols = [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in found.flat]
            unknown = next((symbol for symbol in symbols if symbol not in _NUMBERS), None)
            if unknown is not None:
                raise DataError(f"{self._path}: group {surveyed.name!r}: {unknown!r} is no element")
            numbers = np.array([_NUMBERS[symbol] for symbol in symbols], np.int64)
        elif found.dtype.kind in "iu":
            numbers = found.reshape(-1).astype(np.int64)
        else:
            raise DataError(
                f"{self._path}: group {surveyed.name!r}: expected atomic numbers or symbols, got {found.dtype}"
            )
        if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise DataError(
                f"{self._path}: group {surveyed.name!r}: atomic numbers hold {numbers.min()} to {numbers.max()}"
            )
        return (numbers if each else np.tile(numbers, rows.stop - rows.start)).astype(np.uint8)

    def _charge(
        self, node: h5py.Group, group: GroupSlices, surveyed: Surveyed, rows: slice
    ) -> NDArray[np.int16] | None:
        count = rows.stop - rows.start
        if self._charge_key == NONE:
            return None
        if not self.charges:
            own = self._charges_of(node, surveyed)
            return np.full(count, own, np.int16) if own else None
        key = self._charge_key
        if key not in node:
            return np.zeros(count, np.int16)
        own = node[key]
        scalar = isinstance(own, h5py.Dataset) and own.shape == ()
        found = values(self._path, group, key, () if scalar else (surveyed.conformers,), None if scalar else rows)
        with np.errstate(invalid="ignore"):  # what no int16 holds becomes another number, which is refused
            charge = np.broadcast_to(found, count).astype(np.int16)
        if not np.array_equal(charge, np.broadcast_to(found, count)):
            raise OptionNeededError(
                f"{self._path}: group {surveyed.name!r}, key {key!r}: expected whole numbers, got others. Say --charge "
                "KEY for another key, or --charge none to take no charges",
                charge=NONE,
            )
        return charge

    def _texts(self, node: h5py.Group, surveyed: Surveyed, column: str, rows: slice) -> list[str]:
        count = rows.stop - rows.start
        found = node.get(column)
        if not isinstance(found, h5py.Dataset):
            return [""] * count
        require_stored(self._path, found)
        texts = [_text(one) for one in np.atleast_1d(np.asarray(found[()])).tolist()]
        if len(texts) == 1:
            return texts * count
        if len(texts) == surveyed.conformers and not all(len(text) == 1 for text in texts):
            return texts[rows]
        return ["".join(texts)] * count  # pyanitools keeps the letters of a SMILES one by one


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_text(node: h5py.Dataset) -> bool:
    return node.ndim <= 1 and node.dtype.kind in "SUO"
