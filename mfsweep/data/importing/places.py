"""The files that a command names: `file.xyz@:100`, a glob, a folder."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mfsweep.data.importing.parts import ImportedPart, ImportSource
from mfsweep.errors import DataError, nearest

SUFFIXES = (".h5", ".hdf5", ".hdf", ".xyz", ".extxyz", ".traj", ".db", ".json", ".cif", ".vasp", ".xml", ".out", ".log")
"""Endings of files that are taken from a folder, perhaps packed."""
NAMES = ("OUTCAR", "vasprun.xml", "XDATCAR", "POSCAR", "CONTCAR")
PACKED = (".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class FilePlace:
    """One file, and which of its structures."""

    path: Path
    rows: slice | None = None
    """In the order of the file; None: all."""
    text: str = ""
    """What came after the @."""

    def __str__(self) -> str:
        """Return it as the command names it."""
        return f"{self.path}@{self.text}" if self.text else str(self.path)

    def parts(self, source: ImportSource) -> Iterator[ImportedPart]:
        """Yield the structures of the file that are asked for.

        Raises:
            DataError: they are counted from the end of a file whose number of structures is not known.
        """
        if self.rows is None:
            yield from source.parts()
            return
        start, stop, step = self._bounds(source.total)
        done, reading = 0, source.parts()
        for part in reading:
            index = done + np.arange(len(part.chunk.sizes))
            done += len(index)
            keep = (index >= start) & (index < stop) & ((index - start) % step == 0)
            if keep.any():
                yield part.only(keep)
            if done >= stop:
                break

    def _bounds(self, total: int | None) -> tuple[int, float, int]:
        assert self.rows is not None
        if total is not None:
            return self.rows.indices(total)
        ends = (self.rows.start, self.rows.stop)
        if any(end is not None and end < 0 for end in ends):
            raise DataError(
                f"{self}: counts from the end, but how many structures the file has is not known before it is read: "
                "count from the beginning"
            )
        start, stop = ends
        return start or 0, np.inf if stop is None else stop, self.rows.step or 1


def places(texts: Sequence[Path | str], whole: Callable[[Path], bool] = lambda _: False) -> list[FilePlace]:
    """Return the files that texts name.

    Args:
        texts: a path; `path@START:STOP:STEP` or `path@NUMBER`; a glob; a folder.
        whole: whether a folder is one thing, and not many files.

    Raises:
        DataError: nothing is there.
    """
    return [place for text in texts for place in _places(str(text), whole)]


def _places(text: str, whole: Callable[[Path], bool]) -> Iterator[FilePlace]:
    path, at, rows = text.rpartition("@")
    chosen = None
    if at and path and not Path(text).exists():
        chosen = _rows(text, rows)
        text = path
    if Path(text).is_dir() and not whole(Path(text)):
        found = sorted(own for own in Path(text).iterdir() if _is_data(own))
        if not found:
            raise DataError(f"{text}: a folder without files of structures ({', '.join(SUFFIXES[:6])}, OUTCAR, ...)")
    elif Path(text).exists() or not glob.has_magic(text):
        found = [Path(text)]
    else:
        found = sorted(
            own
            for own in map(Path, glob.glob(text, recursive=True))  # noqa: PTH207 (absolute patterns too)
            if own.is_file()
        )
        if not found:
            raise DataError(f"{text}: no file has such a name")
    for own in found:
        if not own.exists():
            beside = [entry.name for entry in own.parent.iterdir()] if own.parent.is_dir() else []
            raise DataError(f"{own}: no such file.{nearest(own.name, beside)}")
        yield FilePlace(own, chosen, rows if chosen else "")


def _is_data(path: Path) -> bool:
    name = path.name
    for packed in PACKED:
        name = name.removesuffix(packed)
    known = name in NAMES or Path(name).suffix.lower() in SUFFIXES
    return path.is_file() and known and not name.startswith(".")


def _rows(text: str, rows: str) -> slice:
    match = re.fullmatch(r"(-?\d+)|(-?\d*):(-?\d*)(?::(\d+))?", rows)
    if match is None or match[4] == "0":
        raise DataError(f"{text}: no such file; after an @ expected START:STOP, START:STOP:STEP or a number")
    if match[1]:
        number = int(match[1])
        return slice(number, number + 1 or None)
    start, stop, step = (int(part) if part else None for part in match.group(2, 3, 4))
    return slice(start, stop, step)
