"""Writing a data set in pieces: bounded memory, and no file at all until it is whole."""

from __future__ import annotations

import contextlib
import glob
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset.layout import Spooled, new_file, seal, write_array, write_json
from mfsweep.data.structures import SYMBOLS, formulae_of
from mfsweep.errors import DataError
from mfsweep.files import locked, write_file


class Chunk(NamedTuple):
    """Some structures on their way into a data set: n structures of a atoms together."""

    sizes: NDArray[np.int64]
    """(n,) atoms of each structure."""
    species: NDArray[np.uint8]
    """(a,) atomic numbers."""
    positions: NDArray[np.floating]
    """(a, 3) angstrom."""
    energies: Mapping[str, NDArray[np.float64]]
    """Method -> (n,) eV, NaN where there is no label."""
    forces: Mapping[str, NDArray[np.floating]]
    """Method -> (a, 3) eV/angstrom, all NaN over a structure without the label."""
    cell: NDArray[np.float64] | None = None
    """(n, 3, 3) lattice vectors as rows, angstrom."""
    pbc: NDArray[np.bool_] | None = None
    """(n, 3)."""
    charge: NDArray[np.int16] | None = None
    """(n,)."""
    columns: Mapping[str, Sequence[str]] = {}
    """Name -> n texts."""


class Writer:
    """Takes chunks, and makes the data set of them at the end.

    The chunks go to plain files in a temporary folder beside the data set. `finish` lays it out from these and
    renames it into place; whatever leaves the `with` block without it leaves nothing behind.
    """

    def __init__(
        self, path: Path, *, energies: Sequence[str], forces: Sequence[str] = (), columns: Sequence[str] = ()
    ) -> None:
        """Prepare to write.

        Args:
            path: the data set to be; replaced where it exists.
            energies: the label methods.
            forces: those of them with forces.
            columns: names of the texts.
        """
        assert set(forces) <= set(energies), "forces come with energies"
        self.structures = self.atoms = 0
        self._path = path.resolve()  # behind a link, so that the link stays one
        self._energies, self._forces, self._columns = tuple(energies), tuple(forces), tuple(columns)
        self._known: dict[str, dict[str, int]] = {name: {} for name in ("formula", *columns)}
        self._ranks = np.zeros(0, np.int64)
        self._stated: set[str] = set()
        self._exact = True
        self._folder: Path | None = None
        self._lock = contextlib.ExitStack()
        self._spools: dict[str, Any] = {}
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            self._folder = Path(tempfile.mkdtemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".part"))
            self._lock.enter_context(locked(self._folder, wait=True))
        except OSError as error:
            raise DataError(f"{self._path} cannot be written: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self._spools.values():
            with contextlib.suppress(OSError):  # what a full disk did not take is tried again, and fails again
                spool.close()
        assert self._folder is not None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _remove_stale(self) -> None:
        """Remove what a killed writer of the same data set left: nobody holds its lock."""
        for folder in self._path.parent.glob(f".{glob.escape(self._path.name)}.*.part"):
            with locked(folder, wait=False) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)

    def add(self, chunk: Chunk) -> None:
        """Take some more structures.

        Raises:
            DataError: the disk is full, or gone.
        """
        count = len(chunk.sizes)
        if not count:
            return
        positions = np.asarray(chunk.positions, np.float64)
        self._exact = self._exact and bool((positions.astype(np.float32) == positions).all())
        arrays: dict[str, NDArray[Any]] = {
            "sizes": np.asarray(chunk.sizes, np.int64),
            "species": np.asarray(chunk.species, np.uint8),
            "positions": positions,
            "cell": np.zeros((count, 3, 3)) if chunk.cell is None else np.asarray(chunk.cell, np.float64),
            "pbc": np.zeros((count, 3), np.bool_) if chunk.pbc is None else np.asarray(chunk.pbc, np.bool_),
            "charge": np.zeros(count, np.int16) if chunk.charge is None else np.asarray(chunk.charge, np.int16),
            "formula": self._formulae(chunk),
        }
        self._stated |= {name for name in ("cell", "pbc", "charge") if getattr(chunk, name) is not None}
        arrays["rank"] = self._rank(arrays["formula"])
        for method in self._energies:
            arrays[f"{method}.energy"] = np.asarray(chunk.energies[method], np.float64)
        for method in self._forces:
            arrays[f"{method}.forces"] = np.asarray(chunk.forces[method], np.float32)
        for name in self._columns:
            arrays[f"column {name}"] = self._codes(name, chunk.columns[name])
        try:
            for name, array in arrays.items():
                self._spool(name).write(np.ascontiguousarray(array).data)
        except OSError as error:
            raise DataError(f"{self._path} cannot be written: {error.strerror or error}") from error
        self.structures += count
        self.atoms += len(chunk.species)

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Write the data set and put it into place.

        Args:
            provenance: where the structures and labels come from, as plain data.

        Raises:
            DataError: there are no structures, or the disk is full.
        """
        if not self.structures:
            raise DataError(f"{self._path}: no structures came in: nothing is written")
        try:
            for spool in self._spools.values():
                spool.flush()
            write_file(self._path, lambda path: self._write(path, provenance))
        except (OSError, RuntimeError) as error:  # h5py raises either where a disk is full
            raise DataError(f"{self._path} cannot be written: {getattr(error, 'strerror', None) or error}") from error

    def _write(self, path: Path, provenance: Mapping[str, Any]) -> None:
        with new_file(path) as file:
            self._write_geometry(file.create_group("geometry"))
            labels = file.create_group("labels")
            for method in self._energies:
                write_array(labels, f"{method}.energy", self._spooled(f"{method}.energy", np.float64))
            for method in self._forces:
                write_array(labels, f"{method}.forces", self._spooled(f"{method}.forces", np.float32, 3))
            columns = file.create_group("columns")
            for name in self._columns:
                self._write_coded(columns.create_group(name), f"column {name}", name, ("codes", "values"))
            write_json(file, "provenance", dict(provenance))
            seal(file)

    def _write_geometry(self, group: h5py.Group) -> None:
        sizes = self._spooled("sizes", np.int64)[:]
        write_array(group, "offsets", np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
        write_array(group, "species", self._spooled("species", np.uint8))
        positions = self._spooled("positions", np.float64, 3)
        write_array(group, "positions", replace(positions, dtype=np.dtype(np.float32)) if self._exact else positions)
        self._write_coded(group, "formula", "formula", ("formula", "formulae"))
        write_array(group, "rank", self._spooled("rank", np.int32))
        if "charge" in self._stated:
            write_array(group, "charge", self._spooled("charge", np.int16))
        pbc = self._spooled("pbc", np.bool_, 3)
        if pbc[:].any():
            write_array(group, "pbc", pbc)
            write_array(group, "cell", self._spooled("cell", np.float64, 3, 3))

    def _write_coded(self, group: h5py.Group, spool: str, name: str, names: tuple[str, str]) -> None:
        """Write texts as codes into their sorted list."""
        texts = list(self._known[name])
        order = sorted(range(len(texts)), key=texts.__getitem__)
        place = np.empty(len(texts), np.int32)
        place[order] = np.arange(len(texts))
        write_array(group, names[0], place[self._spooled(spool, np.int32)[:]])
        write_json(group, names[1], [texts[index] for index in order])

    def _spool_path(self, name: str) -> Path:
        assert self._folder is not None, "used in a with block"
        # Names of methods and columns are the user's: they may hold what no file name can.
        return self._folder / str(self._numbers.setdefault(name, len(self._numbers)))

    def _spool(self, name: str) -> Any:
        if name not in self._spools:
            self._spools[name] = self._spool_path(name).open("wb")
        return self._spools[name]

    def _spooled(self, name: str, kind: type[np.generic], *row: int) -> Spooled:
        rows = self.atoms if name in ("species", "positions") or name.endswith(".forces") else self.structures
        return Spooled(self._spool_path(name), np.dtype(kind), (rows, *row), np.dtype(kind))

    def _codes(self, name: str, texts: Sequence[str]) -> NDArray[np.int32]:
        known = self._known[name]
        return np.array([known.setdefault(text, len(known)) for text in texts], np.int32)

    def _formulae(self, chunk: Chunk) -> NDArray[np.int32]:
        """Return the codes of the structures' formulae."""
        texts, inverse = formulae_of(chunk.sizes, chunk.species)
        return self._codes("formula", texts)[inverse]

    def _rank(self, formula: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the index of each structure among all of its formula so far."""
        count = len(self._known["formula"])
        self._ranks = np.concatenate([self._ranks, np.zeros(count - len(self._ranks), np.int64)])
        order = np.argsort(formula, kind="stable")
        grouped = formula[order]
        first = np.searchsorted(grouped, grouped)
        rank = np.empty(len(formula), np.int32)
        rank[order] = self._ranks[grouped] + np.arange(len(grouped)) - first
        self._ranks += np.bincount(formula, minlength=count)
        return rank


assert len(SYMBOLS) <= 256, "atomic numbers fit into a byte"
