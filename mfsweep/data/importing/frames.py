"""Every frame of a file that ASE reads, one at a time; whatever its readers make of a damaged file is a DataError.

ASE is imported where it is used: `mfsweep --help` must not wait for it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mfsweep.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms

T = TypeVar("T")

_SPELT = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
"""Keys of a comment line, which writers spell in any case -> as ASE does."""
_KEYS = re.compile(r"""(?<![^\s"'}\]])(lattice|properties|pbc)\s*=""", re.IGNORECASE)
ROWS_AT_ONCE = 500
"""Rows of an ASE database in memory at a time."""


class AseFrame(NamedTuple):
    """One structure as ASE gives it."""

    place: str
    """File and frame, for messages."""
    atoms: Atoms

    def scalars(self) -> dict[str, Any]:
        """Return what may be an energy: what is in `info`, and over it the calculator's results."""
        return {**self.atoms.info, **results(self.atoms)}

    def arrays(self) -> dict[str, Any]:
        """Return what may be forces: what is in `info` and `arrays`, and over it the calculator's results."""
        return {**self.atoms.info, **self.atoms.arrays, **results(self.atoms)}


def results(atoms: Atoms) -> dict[str, Any]:
    """Return the results of the calculator that a structure was stored with."""
    return {} if atoms.calc is None else {key: own for key, own in atoms.calc.results.items() if own is not None}


def kind(path: Path) -> str:
    """Return ASE's name for the format of a file.

    Raises:
        DataError: there is no such file, it is empty, or of a format that ASE does not know.
    """
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if not path.is_file():
        raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: expected a file, got a folder")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty (0 bytes): the download may have failed, get it again")
    try:
        found = filetype(str(path))
    except (UnknownFileTypeError, OSError, ValueError) as error:
        raise _not_read(path, error) from error
    if found not in ioformats or not ioformats[found].can_read:
        raise _not_read(path, f"its format looks like {found!r}")
    return found


def read_frames(path: Path) -> tuple[int | None, Iterator[AseFrame]]:
    """Return the number of frames, where it is known before they are read, and the frames.

    Raises:
        DataError: of a file that cannot be read; while iterating, of a frame that cannot.
    """
    from ase.io import iread

    found = kind(path)
    if found in ("db", "json"):
        return _database(path, found)
    if found == "extxyz":
        total, plain = _xyz_frames(path)
        if not plain:
            return total, _named(path, _guarded(path, _rewritten(path)))
        return total, _named(path, _guarded(path, iread(str(path), ":", found, do_not_split_by_at_sign=True)))
    # The file's name may have an @, which ASE would take for the start of a selection.
    frames = iread(str(path), index=":", format=found, do_not_split_by_at_sign=True)
    return None, _named(path, _guarded(path, frames))


def _named(path: Path, frames: Iterator[Atoms]) -> Iterator[AseFrame]:
    for number, atoms in zip(count(), frames, strict=False):
        yield AseFrame(f"{path}: frame {number}", atoms)


def _database(path: Path, found: str) -> tuple[int, Iterator[AseFrame]]:
    """Return the rows of an ASE database, their key-value pairs and data in `info`."""
    from ase.db import connect

    # A JSON file is read whole for every selection.
    limit = ROWS_AT_ONCE if found == "db" else None

    def rows() -> Iterator[tuple[int, Atoms]]:
        last = 0
        while True:
            # ASE fetches all rows that a selection finds before it gives the first.
            page = list(database.select(f"id>{last}", sort="id", limit=limit))
            if not page:
                return
            for row in page:
                atoms = row.toatoms()
                atoms.info.update({**row.data, **row.key_value_pairs})
                yield row.id, atoms
            last = page[-1].id

    def frames() -> Iterator[AseFrame]:
        for number, atoms in _guarded(path, rows()):
            yield AseFrame(f"{path}: row {number}", atoms)

    try:
        database = connect(str(path), type=found, serial=True)
        return database.count(), frames()
    except Exception as error:  # as of _guarded
        raise _not_read(path, error) from error


def _guarded(path: Path, items: Iterator[T]) -> Iterator[T]:
    """Yield all items; an error in making one is a DataError."""
    for number in count():
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:  # ASE's readers raise anything on damaged files, bare Exceptions too
            raise _not_read(path, f"frame {number}: {type(error).__name__}: {error}") from error
        yield item


def _not_read(path: Path, why: object) -> DataError:
    return DataError(
        f"{path}: expected an HDF5 file of the ANI-1x layout, or a file that ASE reads (extxyz, db, traj, ...); "
        f"it cannot be read as one ({why})"
    )


def database_units(path: Path) -> dict[str, str]:
    """Return the units that SchNetPack writes beside a database: name of a value, or `positions` -> unit."""
    from ase.db import connect

    try:
        metadata = connect(str(path), type=kind(path), serial=True).metadata
    except Exception as error:  # as of _guarded
        raise _not_read(path, error) from error
    units = metadata.get("_property_unit_dict")
    found = {str(key): str(unit) for key, unit in units.items()} if isinstance(units, dict) else {}
    return found | ({"positions": str(metadata["_distance_unit"])} if "_distance_unit" in metadata else {})


def _rewritten(path: Path) -> Iterator[Atoms]:
    """Yield the frames of an extxyz file whose keys are not in the case in which ASE looks for them."""
    from ase.io import iread
    from ase.io.formats import open_with_compression

    with tempfile.TemporaryFile("w+") as made:
        with open_with_compression(str(path), "r") as file:
            while (header := file.readline()).strip():
                made.write(header)
                made.write(_KEYS.sub(lambda found: f"{_SPELT[found[1].lower()]}=", file.readline()))
                for _ in range(int(header)):
                    made.write(file.readline())
        made.seek(0)
        yield from iread(made, index=":", format="extxyz")


def _xyz_frames(path: Path) -> tuple[int, bool]:
    """Count the frames of an (ext)xyz file, and say whether all its keys have the usual case.

    Raises:
        DataError: text after the last frame, which ASE would leave without a word: it stops at an empty line.
    """
    from ase.io.formats import open_with_compression

    frames = line = 0
    last, plain = "", True
    try:
        with open_with_compression(str(path), "r") as file:
            while (header := file.readline()).strip():
                atoms, start = int(header), line
                for line in range(start + 1, start + atoms + 2):
                    if not (last := file.readline()):
                        raise DataError(
                            f"{path}: breaks off in frame {frames}, at line {line + 1}: the header in line {start + 1} "
                            f"announces {atoms} atoms"
                        )
                    if line == start + 1 and plain:
                        plain = all(_SPELT[own.lower()] == own for own in _KEYS.findall(last))
                line, frames = line + 1, frames + 1
            if header and (rest := file.read().strip()):
                raise DataError(
                    f"{path}: line {line + 1} is empty, but text goes on ({rest[:40]!r}...) after {frames} frames: "
                    "take the empty line out"
                )
            if frames and not last.endswith("\n"):
                raise DataError(
                    f"{path}: its last line has no end ({last[-40:]!r}), so that it may have been cut off within a "
                    "number. If it is whole, put a line end there"
                )
    except (ValueError, OSError, EOFError) as error:
        raise _not_read(path, f"frame {frames}, line {line + 1}: {error}") from error
    return frames, plain
