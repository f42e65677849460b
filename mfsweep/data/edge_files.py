"""Neighbours kept in files that are mapped, so that they are computed once for all processes of all sweeps.

    edges/<geometry>-<cutoff>-v<VERSION>/
        offsets.npy  pairs.npy  shifts.npy    the arrays of `Edges`
        sha256.json                           name of each array -> sha256 of its file; written last

A process compares the digests when it opens a folder for the first time, some 0.1 s for 100 MB, and looks whether the
arrays fit the structures: wrong pairs would be trained on without a word. A folder that is damaged is set aside, and
computed again.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.neighbours import Edges, neighbours
from mfsweep.data.structures import Structures, geometry_digest
from mfsweep.errors import DataError
from mfsweep.files import beside, facts, locked, set_aside, sha256, write_hashed, write_text

VERSION = 2
"""Version of the files: another one where older files would be misread, or hold what was wrong."""
_DIGESTS = "sha256.json"
_LOG = logging.getLogger(__name__)


def kept_neighbours(structures: Structures, cutoff: float, folder: Path) -> Edges:
    """Return the neighbours from files, after one process has computed them; the others wait for it.

    Args:
        structures: of one source.
        cutoff: neighbours within this distance, angstrom.
        folder: where such files are kept, by geometry and cutoff.

    Returns:
        Edges whose arrays are maps of the files.

    Raises:
        DataError: files that cannot be read, or that are damaged as soon as they are written.
    """
    own = folder / f"{geometry_digest(structures)[:20]}-{float(cutoff)!r}-v{VERSION}"
    found = _read(own, structures)
    if not isinstance(found, Edges):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{own.name}.lock", wait=True):
            found = _read(own, structures)  # another process may have been quicker
            if isinstance(found, str):
                _set_aside(own, found)
            if not isinstance(found, Edges):
                _write(neighbours(structures, cutoff), own)
                found = _read(own, structures)
    if not isinstance(found, Edges):
        raise DataError(
            f"{own}: the neighbours were written, and then {found}: expected a disk that keeps what it is given"
        )
    return found


def damaged_files(folder: Path) -> str | None:
    """Return what is wrong with the files of a folder of neighbours, as far as it is seen without the structures."""
    try:
        stated = json.loads((folder / _DIGESTS).read_bytes())
        for name, expected in stated.items():
            if (got := sha256(folder / f"{name}.npy")) != expected:
                return f"{name}.npy has the sha256 {got[:12]}..., expected {str(expected)[:12]}..."
    except OSError as error:
        return f"{error.strerror}: {Path(str(error.filename)).name}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return str(error)
    return None


def _read(folder: Path, structures: Structures) -> Edges | str | None:
    """Return the neighbours of a folder, what is wrong with it, or None where there is none.

    Raises:
        DataError: the system does not let us look.
    """
    if not os.path.lexists(folder):
        return None
    try:
        stated = json.loads((folder / _DIGESTS).read_bytes())
        if not {"offsets", "pairs"} <= set(stated) <= set(Edges._fields):
            return f"{_DIGESTS} does not name the arrays"
        for name, expected in stated.items():
            got = _digest(folder / f"{name}.npy", facts(folder / f"{name}.npy"))
            if got != expected:
                return f"{name}.npy has the sha256 {got[:12]}..., expected {str(expected)[:12]}..."
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in stated}
        edges = Edges(**{"shifts": None, **arrays})
        return next(_misfits(edges, structures), edges)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return f"{error.strerror}: {Path(str(error.filename)).name}"
    except OSError as error:
        raise DataError(f"the neighbours in {folder} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        return str(error)


def _set_aside(folder: Path, why: str) -> None:
    try:
        aside = set_aside(folder)
    except OSError as error:
        raise DataError(
            f"the neighbours in {folder} are damaged ({why}) and cannot be set aside ({error.strerror or error}): "
            "remove the folder"
        ) from error
    _LOG.warning(f"the neighbours in {folder} are damaged ({why}): set aside as {aside.name}, and computed again")


def _misfits(edges: Edges, structures: Structures) -> Iterator[str]:
    """Yield what keeps the arrays from being the neighbours of some structures; each check rests on those before."""
    offsets, pairs, shifts = edges
    sizes = structures.sizes
    if offsets.dtype != np.int64 or offsets.shape != (len(sizes) + 1,):
        yield f"offsets are {offsets.shape} of {offsets.dtype} for {len(sizes)} structures"
    counts = np.diff(offsets)
    if offsets[0] or (counts < 0).any() or (counts % 2).any():
        yield "offsets do not rise from 0 in steps of two"
    if pairs.dtype.kind != "u" or pairs.shape != (2, offsets[-1] // 2):
        yield f"pairs are {pairs.shape} of {pairs.dtype} for {offsets[-1] // 2} pairs"
    periodic = structures.pbc is not None and bool(structures.pbc.any())
    if (shifts is not None) != periodic:
        yield "shifts come with periodic structures, and with no others"
    if shifts is not None and (shifts.dtype.kind != "i" or shifts.shape != (pairs.shape[1], 3)):
        yield f"shifts are {shifts.shape} of {shifts.dtype} for {pairs.shape[1]} pairs"
    paired = np.flatnonzero(counts)
    if any((_highest(row, offsets[paired] // 2) >= sizes[paired]).any() for row in pairs):
        yield "pairs name atoms that their structure does not have"


def _highest(atoms: NDArray[np.integer], first: NDArray[np.int64]) -> NDArray[np.integer]:
    """Return the highest atom among the pairs of each structure, which begin at `first`, ascending."""
    return np.maximum.reduceat(atoms, first) if len(first) else np.empty(0, atoms.dtype)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _facts: tuple[int, ...]) -> str:
    """Return the sha256 of a file; a process reads it once, for as long as it stays as it is."""
    return sha256(path)


def _write(edges: Edges, folder: Path) -> None:
    temporary = beside(folder)
    temporary.mkdir()
    try:
        digests = {}
        for name, array in edges._asdict().items():
            if array is not None:
                digests[name] = write_hashed(temporary / f"{name}.npy", functools.partial(np.save, arr=array))
        write_text(temporary / _DIGESTS, json.dumps(digests))
        try:
            temporary.replace(folder)
        except OSError:
            # Where a file system has no locks, another process may have been quicker: its files are the same.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
