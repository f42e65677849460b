"""The journal of a labelling: what is computed already of labels that are not in the data set yet.

    .DATASET.NAME.labelling/       beside the data set
      settings.json              what the labels depend on: geometry, method, options, versions
      00000001.npz ...           finished batches: index, energy, forces, seconds, failures, with the batch's number

One process writes it. Batches are written as soon as they are there, under a temporary name that is then changed: to
kill the process at any time loses the batches that were not finished, and nothing else. When the labels are in the
data set the folder goes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.labellers.geometries import Computed
from mfsweep.data.structures import Structures
from mfsweep.errors import DataError
from mfsweep.files import locked, write_file, write_text

_SETTINGS = "settings.json"
_BATCHES = "[0-9]*.npz"


class Collected(NamedTuple):
    """Labels of all structures of a data set, as far as there are any."""

    energy: NDArray[np.float64]
    """(S,) eV; NaN where there is none."""
    forces: NDArray[np.float32] | None
    """(A, 3) eV/angstrom; None as long as no structure has them."""
    seconds: NDArray[np.float32]
    """(S,) core-seconds; NaN where there is none."""
    failures: dict[int, str]
    """Structure -> why its last try gave no label."""

    @classmethod
    def empty(cls, structures: int) -> Collected:
        """Return no labels of that many structures."""
        return cls(np.full(structures, np.nan), None, np.full(structures, np.nan, np.float32), {})

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Return which structures have a label, (S,)."""
        return ~np.isnan(self.energy)

    def taken(self, structures: Structures, index: NDArray[np.int64], computed: Computed) -> Collected:
        """Return these labels with those of one batch: the arrays are changed in place.

        Args:
            structures: of the data set.
            index: (n,) the batch's structures.
            computed: their labels.
        """
        self.energy[index] = computed.energy
        self.seconds[index] = computed.seconds
        for structure in index.tolist():
            self.failures.pop(structure, None)
        self.failures.update({int(index[place]): why for place, why in computed.failures.items()})
        forces = self.forces
        if computed.forces is not None:
            if forces is None:
                forces = np.full((int(structures.offsets[-1]), 3), np.nan, np.float32)
            forces[structures.atoms_of(index)] = computed.forces
        return self._replace(forces=forces)


class Journal:
    """The finished batches of one labelling."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        numbers = (int(path.stem) for path in self._batches())
        self._last = max(numbers, default=0)

    def _batches(self) -> list[Path]:
        return sorted(self.folder.glob(_BATCHES))

    def write(self, batches: Sequence[tuple[NDArray[np.int64], Computed]]) -> None:
        """Keep the labels of some batches, in one file.

        Args:
            batches: (n,) structures and their labels of each.

        Raises:
            DataError: the disk is full, or gone.
        """
        arrays: dict[str, Any] = {}
        for number, (index, computed) in enumerate(batches):
            parts = {"index": index, **computed._asdict(), "failures": np.array(_as_text(computed.failures))}
            arrays |= {f"{number}.{part}": array for part, array in parts.items() if array is not None}

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **arrays)

        self._last += 1
        try:
            write_file(self.folder / f"{self._last:08d}.npz", save)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def collect(self, structures: Structures, before: Collected) -> tuple[Collected, int]:
        """Return the labels of all finished batches, over those of before, whose arrays are changed.

        Returns:
            The labels, and how many structures the batches hold.

        Raises:
            DataError: a file is damaged.
        """
        collected, held = before, set[int]()
        for path in self._batches():
            for index, computed in _read(path):
                collected = collected.taken(structures, index, computed)
                held.update(index.tolist())
        return collected, len(held)

    def remove(self) -> None:
        """Delete the journal."""
        shutil.rmtree(self.folder)


def _read(path: Path) -> list[tuple[NDArray[np.int64], Computed]]:
    """Return the batches of one file: structures and labels of each."""
    batches = []
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            for number in range(sum(name.endswith(".index") for name in file.files)):
                parts = {part: file.get(f"{number}.{part}") for part in ("index", *Computed._fields)}
                failures = json.loads(parts["failures"].item())
                parts["failures"] = {int(place): why for place, why in failures.items()}
                batches.append((parts.pop("index"), Computed(**parts)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}): delete it; what it held is computed again") from error
    return batches


def _as_text(failures: Mapping[int, str]) -> str:
    return json.dumps({str(place): why for place, why in failures.items()})


def place(dataset: Path, name: str) -> Path:
    """Return the folder of the journal of one method's labels.

    Args:
        dataset: the data set.
        name: of the labels in it.
    """
    return dataset.parent / f".{dataset.name}.{name}.labelling"


@contextlib.contextmanager
def opened(dataset: Path, name: str, settings: Mapping[str, Any], *, replace: bool = False) -> Iterator[Journal]:
    """Give the journal of one method's labels, held against other processes.

    Args:
        dataset: the data set.
        name: of the labels in it.
        settings: what the labels depend on, as plain data.
        replace: drop what an interrupted run of other settings left.

    Raises:
        DataError: another process has it, it is of other settings, or the folder cannot be written.
    """
    folder = place(dataset, name)
    with _held(folder) as mine:
        if not mine:
            raise DataError(f"another process is computing the labels {name!r} of {dataset}: wait for it, or stop it")
        try:
            _settle(folder, name, dict(settings), replace=replace)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            yield Journal(folder)
        finally:
            if not any(folder.glob(_BATCHES)):  # refused, or stopped before anything was computed
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Make a folder and hold its lock; begin anew where the holder before us removed it in the meantime."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            made = folder.stat().st_ino
            lock = contextlib.ExitStack()
            mine = lock.enter_context(locked(folder, wait=False))
        except OSError as error:
            if isinstance(error, FileNotFoundError) and folder.parent.is_dir():
                continue
            raise _unwritable(folder, error) from error
        with lock:
            if mine and not (folder.is_dir() and folder.stat().st_ino == made):
                continue
            yield mine
            return


def _settle(folder: Path, name: str, settings: dict[str, Any], *, replace: bool) -> None:
    """Make a journal's folder one of these settings.

    Raises:
        DataError: it holds batches of other ones, and they are not to be replaced.
    """
    written = folder / _SETTINGS
    batches = list(folder.glob(_BATCHES))
    if batches and not replace:
        try:
            different = differences(json.loads(written.read_bytes()), settings)
        except (FileNotFoundError, ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{written} is damaged ({error}): pass --replace, which drops what was computed") from error
        if different:
            raise DataError(
                f"{folder}: an interrupted run left labels {name!r} of another calculation here: "
                f"{'; '.join(different)}. Go on with the former settings, or pass another --as, or --replace to drop "
                "what it computed"
            )
        return
    text = json.dumps(settings, indent=1, sort_keys=True)
    if written.exists() and written.read_bytes() == text.encode():
        return
    for path in batches:
        path.unlink()
    write_text(written, text)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Return in words where two pieces of nested plain data differ: `versions.tblite: 0.7.0 before, 0.8.0 now`."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{path}{key}.")
        elif old != new:
            found.append(f"{path}{key}: {_word(old)} before, {_word(new)} now")
    return found


def _word(value: Any) -> str:
    text = json.dumps(value) if value is not None else "none"
    return text if len(text) <= 24 else f"{text[:12]}..."


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(f"{folder} cannot be written: {error.strerror or error}. It holds what is computed until the end")
