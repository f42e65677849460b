"""The data of the source study (arXiv:2506.14963): `data.lmdb`, `metadata.parquet`, `{method}_train_{a,b,c,d}.json`.

What its data card says (huggingface.co/datasets/microsoft/multi-fidelity-training-mlff): an LMDB with positions, atomic
numbers, energies and forces, an entry for each structure and method; an index with the columns formula,
conformation_idx, method, n_atoms, energy, forces_present, energy_unit, forces_unit, idx; and for each method (dft, xtb,
cc) and training group four files of train, validation and test indices of entries. The card does not say how an entry
is written. So this is taken, and could not be checked against the files: an entry's key is its `idx` as text, perhaps
with leading zeros; its value is a dictionary (plain.py) with the names in `NAMES`; positions are in angstrom.

Entries of one formula and conformation_idx become one structure, with a label method each. Each split file becomes a
text column, `dft_train_a` with `train`, `validation`, `test` or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.importing import lmdb_files
from mfsweep.data.importing.keys import Units
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, ImportedPart
from mfsweep.data.importing.plain import PlainError, decode
from mfsweep.data.importing.release_index import INDEX, Row, read_index, read_splits, split_files
from mfsweep.data.importing.rules import Rules
from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

NAMES = {
    "positions": ("positions", "pos", "coordinates"),
    "numbers": ("atomic_numbers", "numbers", "species", "z"),
    "energy": ("energy", "total_energy", "y"),
    "forces": ("forces", "force"),
}
"""What is read of an entry -> its names, the first that is there."""
_SAME = 1e-3
"""Angstrom by which the positions of one structure may differ between its entries."""
_SAME_ENERGY = 1e-5
"""Relative difference of an energy in the index and in its entry, at most: float32 has less."""


class ReleaseSource:
    """The folder with these files, or its data.lmdb."""

    layout = "multi-fidelity-training-mlff"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether there is a data.lmdb with a metadata.parquet beside it."""
        place = _places(path)
        return place is not None and (place[1] / INDEX).exists()

    @staticmethod
    def files(path: Path) -> list[Path]:
        """Return all files that are read, for a path that was recognised."""
        place = _places(path)
        assert place is not None, "recognised before"
        lmdb, folder = place
        return [lmdb_files.main_file(lmdb), folder / INDEX, *split_files(folder)]

    def __init__(self, path: Path, rules: Rules) -> None:
        """Read the index and the split files. There are no charges in it.

        Raises:
            DataError: a file is missing, damaged, or not of this layout.
        """
        place = _places(path)
        assert place is not None, "recognised before"
        self._lmdb, self._folder = place
        self.name = path.name
        self.charges: Sequence[str] = []
        self.warnings: Sequence[str] = []
        self._index, stated = read_index(self._folder / INDEX)
        methods = sorted(set(self._index.method.tolist()))
        self.units: Units = stated._replace(**rules.file_units)
        self.total: int | None = len(self._index.starts) - 1
        every = {method: LabelKeys(energy="energy", forces="forces") for method in methods}
        wrong = next((name for name, keys in rules.labels.items() if keys is not None or name not in every), None)
        if wrong is not None:
            raise DataError(
                f"{self._folder / INDEX}: --labels {wrong}: expected one of its methods by name, {', '.join(every)}."
                f"{nearest(wrong, every)}"
            )
        taken = {} if rules.geometries else rules.labels or every
        self.labels: Mapping[str, LabelKeys] = {name: every[name] for name in taken}
        self._splits = read_splits(self._folder, methods)
        there = ["formula", *self._splits]
        unknown = next((name for name in rules.columns or () if name not in there), None)
        if unknown is not None:
            raise DataError(f"{path}: --column: there is no {unknown!r}.{nearest(unknown, there)}")
        self.columns: Sequence[str] = there if rules.columns is None else rules.columns

    def parts(self) -> Iterator[ImportedPart]:
        """Yield all structures, by formula and number of conformation.

        Raises:
            DataError: an entry is not there, is not of this layout, or runs code.
        """
        with lmdb_files.transaction(self._lmdb) as transaction:
            width = lmdb_files.width(self._lmdb, transaction)
            chosen: list[int] = []
            atoms = 0
            for number, first in enumerate(self._index.starts[:-1].tolist()):
                chosen.append(number)
                atoms += int(self._index.atoms[first])
                if atoms >= ATOMS_AT_ONCE:
                    yield self._part(transaction, width, chosen)
                    chosen, atoms = [], 0
            if chosen:
                yield self._part(transaction, width, chosen)

    def _part(self, transaction: Any, width: int, chosen: Sequence[int]) -> ImportedPart:
        structures = [self._index.rows(number) for number in chosen]
        entries = [[self._entry(transaction, width, row) for row in rows] for rows in structures]
        for rows, own in zip(structures, entries, strict=True):
            for row, entry in zip(rows[1:], own[1:], strict=True):
                self._require_same(rows[0], own[0], row, entry)
        sizes = np.array([len(own[0]["numbers"]) for own in entries], np.int64)
        energies: dict[str, NDArray[np.float64]] = {}
        forces: dict[str, NDArray[np.float32]] = {}
        for method in self.labels:
            of_method = [
                next((entry for row, entry in zip(rows, own, strict=True) if row.method == method), None)
                for rows, own in zip(structures, entries, strict=True)
            ]
            energy = np.array([np.nan if entry is None else entry["energy"] for entry in of_method], np.float64)
            energies[method] = energy * self.units.energy_factor
            each = [
                np.full((size, 3), np.nan) if entry is None or entry["forces"] is None else entry["forces"]
                for entry, size in zip(of_method, sizes, strict=True)
            ]
            with np.errstate(over="ignore"):  # becomes inf, which is refused later
                forces[method] = (np.concatenate(each) * self.units.forces_factor).astype(np.float32)
        positions = np.concatenate([own[0]["positions"] for own in entries])
        chunk = Chunk(
            sizes=sizes,
            species=np.concatenate([own[0]["numbers"] for own in entries]),
            positions=positions.astype(np.float64) * self.units.positions_factor,
            energies=energies,
            forces=forces,
            charge=None,
            columns={name: self._texts(name, chosen, structures) for name in self.columns},
        )
        return ImportedPart(chunk, lambda index: f"{self._lmdb}: entry {structures[index][0].idx}")

    def _texts(self, column: str, chosen: Sequence[int], structures: Sequence[Sequence[Row]]) -> list[str]:
        if column == "formula":
            return [str(self._index.formula[self._index.starts[number]]) for number in chosen]
        split = self._splits[column]
        return [next((split.part_of(row.idx) for row in rows if row.method == split.method), "") for rows in structures]

    def _entry(self, transaction: Any, width: int, row: Row) -> dict[str, Any]:
        place = f"{self._lmdb}: entry {row.idx}"
        raw = transaction.get(str(row.idx).zfill(width).encode())
        if raw is None:
            raise DataError(f"{place}, which {INDEX} names, is not there")
        try:
            content = decode(bytes(raw))
        except PlainError as error:
            raise DataError(f"{place}: {error}") from error
        found: dict[str, Any] = {}
        for what, names in NAMES.items():
            key = next((name for name in names if content.get(name) is not None), None)
            if what == "forces" and not row.forces:  # whatever stands there is no label
                key = None
            elif key is None:
                raise DataError(
                    f"{place}: expected the {what} under one of the names {', '.join(names)}, got: "
                    f"{', '.join(sorted(content)) or 'nothing'}"
                )
            found[what] = None if key is None else content[key]
        found["numbers"] = self._array(place, "numbers", found["numbers"], (row.atoms,), "iu")
        found["positions"] = self._array(place, "positions", found["positions"], (row.atoms, 3), "fiu")
        found["energy"] = float(self._array(place, "energy", found["energy"], (), "fiu"))
        if found["forces"] is not None:
            found["forces"] = self._array(place, "forces", found["forces"], (row.atoms, 3), "fiu")
        if found["numbers"].min() < 1 or found["numbers"].max() >= len(SYMBOLS):
            raise DataError(f"{place}: atomic numbers hold {found['numbers'].min()} to {found['numbers'].max()}")
        if abs(found["energy"] - row.energy) > _SAME_ENERGY * max(1.0, abs(row.energy)):
            raise DataError(
                f"{place} has the energy {found['energy']!r}, and {INDEX} says {row.energy!r}: the two are not of one "
                "release"
            )
        found["numbers"] = found["numbers"].astype(np.uint8)
        return found

    def _array(self, place: str, what: str, value: Any, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise DataError(f"{place}: the {what} are no array ({error})") from error
        array = array.reshape(()) if shape == () and array.size == 1 else array
        if array.shape != shape or array.dtype.kind not in kinds:
            raise DataError(
                f"{place}: expected {what} of shape {shape}, as {INDEX} has it, got {array.dtype} of {array.shape}"
            )
        return array

    def _require_same(self, row: Row, entry: Mapping[str, Any], other_row: Row, other: Mapping[str, Any]) -> None:
        same = np.array_equal(entry["numbers"], other["numbers"])
        if not same or np.abs(entry["positions"] - other["positions"]).max(initial=0.0) > _SAME:
            raise DataError(
                f"{self._lmdb}: the entries {row.idx} ({row.method}) and {other_row.idx} ({other_row.method}) have one "
                f"formula and conformation_idx in {INDEX}, but other {'positions' if same else 'atoms'}"
            )


def _places(path: Path) -> tuple[Path, Path] | None:
    """Return the LMDB and the folder of the other files, None where there is no LMDB."""
    if path.name.endswith(".lmdb") or (path / "data.mdb").exists():
        return (path, path.parent) if path.exists() else None
    inner = path / "data.lmdb"
    return (inner, path) if inner.exists() else None
