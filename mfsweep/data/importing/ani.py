"""Structures of an HDF5 file of the ANI-1x layout, a slice of conformers at a time: by group name, then conformer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mfsweep.data.ani1x import CHARGE, LAYOUT, GroupSlices, charges, label_keys, numbers, survey
from mfsweep.data.dataset import Chunk
from mfsweep.data.hdf5 import opened, require_sound_texts, require_stored
from mfsweep.data.importing.charges import NONE
from mfsweep.data.importing.keys import picked, require, storable
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, ImportedPart
from mfsweep.data.importing.rules import Rules
from mfsweep.data.units import ANI_UNITS, Units
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

SUFFIXES = (".h5", ".hdf5", ".hdf")


class AniSource:
    """A file of the ANI-1x layout."""

    layout = "ANI-1x HDF5"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether it is an HDF5 file, or one by its name: every layout that has none of its own."""
        return path.suffix.lower() in SUFFIXES or (path.is_file() and h5py.is_hdf5(path))

    def __init__(self, path: Path, rules: Rules) -> None:
        """Look at the groups of the file; no positions and labels are read yet.

        Args:
            path: the file.
            rules: labels of None are `NAME.energy` and `NAME.forces`; columns are datasets with a value per conformer,
                by default those of texts, but for names that no data set can hold; the charge is a dataset with a value
                for a group or each conformer.

        Raises:
            DataError: the file is not of this layout, or lacks a key.
        """
        self.name = path.name
        self.units: Units = ANI_UNITS._replace(**rules.file_units)
        self._path = path
        with opened(path, LAYOUT) as file:
            groups = survey(path, file)
            self.keys = keys = label_keys(groups)
            self.labels: Mapping[str, LabelKeys] = {} if rules.geometries else picked(str(path), rules.labels, keys)
            self.total: int | None = groups[-1].conformers.stop
            self._groups = {str(group.node.name): group for group in groups}
            if rules.charge not in (None, NONE):
                require(str(path), "--charge", str(rules.charge), keys)
            self._charge_key = rules.charge or CHARGE
            self.charges: Sequence[str] = [self._charge_key] if self._charge_key in keys else []
            for name in rules.columns or ():
                require(str(path), "--column", name, keys)
            texts = [] if rules.columns is not None and not len(rules.columns) else _texts_in(groups)
            self.columns: Sequence[str] = (
                [name for name in texts if storable(name)] if rules.columns is None else rules.columns
            )
            left = set(texts) - set(self.columns) if rules.columns is None else set()
            self.warnings: Sequence[str] = [
                f"{path}: the texts {name!r} are left: no column can have this name" for name in sorted(left)
            ]
        if set(self.columns) & set(texts):
            require_sound_texts(path)

    def parts(self) -> Iterator[ImportedPart]:
        """Yield all structures.

        Raises:
            DataError: a dataset of another shape or type, or damage in the file.
        """
        with opened(self._path, LAYOUT) as file:
            for name, surveyed in self._groups.items():
                group = surveyed._replace(node=file[name])
                conformers, atoms = group.shape
                step = max(1, ATOMS_AT_ONCE // atoms)
                for start in range(0, conformers, step):
                    yield self._part(group, slice(start, min(start + step, conformers)))

    def _part(self, group: GroupSlices, rows: slice) -> ImportedPart:
        count, atoms = rows.stop - rows.start, len(group.numbers)
        name, place = group.node.name, f"{self._path}: group {group.node.name!r}, conformer "
        assert name is not None
        found = numbers(self._path, group, self.labels, self.units, rows)
        chunk = Chunk(
            sizes=np.full(count, atoms, np.int64),
            species=np.tile(group.numbers, count),
            positions=found.positions,
            energies=found.energies,
            forces=found.forces,
            charge=charges(self._path, group, self._charge_key, rows) if self.charges else None,
            columns={column: self._texts(group, column, rows) for column in self.columns},
        )
        return ImportedPart(chunk, lambda index: f"{place}{rows.start + index}")

    def _texts(self, group: GroupSlices, column: str, rows: slice) -> list[str]:
        node = group.node.get(column)
        if node is None:
            return [""] * (rows.stop - rows.start)
        if not isinstance(node, h5py.Dataset) or node.shape != group.shape[:1]:
            got = node.shape if isinstance(node, h5py.Dataset) else "a group"
            raise DataError(
                f"{self._path}: group {group.node.name!r}, key {column!r} (--column): expected shape "
                f"{group.shape[:1]}, a value for each conformer, got {got}"
            )
        require_stored(self._path, node)
        found: Any = node.asstr()[rows] if h5py.check_string_dtype(node.dtype) else node[rows]
        return [str(text) for text in found.tolist()]


def _texts_in(groups: Sequence[GroupSlices]) -> list[str]:
    """Return the datasets with a text per conformer."""
    return sorted({str(key) for group in groups for key, node in group.node.items() if _is_text(group, node)})


def _is_text(group: GroupSlices, node: object) -> bool:
    return (
        isinstance(node, h5py.Dataset)
        and node.shape == group.shape[:1]
        and h5py.check_string_dtype(node.dtype) is not None
    )
