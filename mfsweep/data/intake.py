"""Sources of a spec that are no data set yet: imported on first use, and found by their content from then on.

A data set made so is the one that `mfsweep data import` would make of the file, judged in the same way, and a spec that
names it has the same stages. Its name is the digest of the file and of what is taken from it: a changed file is another
one. Whoever comes second waits for the first and finds it. A file of the ANI-1x layout by itself is read in place.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from mfsweep.data import dataset
from mfsweep.data.importing import JUDGED, import_files
from mfsweep.data.importing.ani import AniSource
from mfsweep.data.importing.ase_files import AseSource
from mfsweep.data.importing.layouts import files_of, is_one, layout_of
from mfsweep.data.importing.release import ReleaseSource
from mfsweep.data.importing.rules import Rules
from mfsweep.data.source import contents, digest
from mfsweep.errors import DataError
from mfsweep.files import locked, set_aside
from mfsweep.fingerprint import fingerprint
from mfsweep.quantities import count
from mfsweep.spec.data import INDICES, Data, LabelKeys

MADE = 2
"""Raised when the importers make other numbers of the same file."""


class Intake(NamedTuple):
    """The sources of a spec, all of them files that can be opened."""

    paths: dict[str, Path]
    """Name of the source -> its data set, or its file of the ANI-1x layout."""
    labels: dict[str, LabelKeys]
    """Label method -> its keys there."""
    notes: list[str]
    """What is to be known of files that were imported."""


def take_in(
    paths: Mapping[str, Path],
    data: Data,
    folder: Path | None,
    cache: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Intake:
    """Import the sources that are no data set yet.

    Args:
        paths: name of the source -> its file; that of a single one is empty.
        data: of the spec.
        folder: where the data sets made so are kept; None, or one that cannot be written: as long as this process runs.
        cache: as of `source.digest`.
        say: told what is imported, before and after.

    Raises:
        DataError: a file that cannot be read, or that can only be imported with options: with the command.
    """
    foreign = {name for name, path in paths.items() if name != INDICES and not dataset.is_dataset(path)}
    if all(layout_of(paths[name]) is AniSource for name in foreign):
        return Intake(dict(paths), dict(data.labels), [])
    names = [name for name in paths if name != INDICES]
    here, labels, notes = dict(paths), dict(data.labels), list[str]()
    for name in sorted(foreign):
        asked = {method: own for method, own in data.labels.items() if own.source in (None, name)}
        apart = {
            method: own.source is None and not foreign.issuperset(names) for method, own in asked.items()
        }  # its keys stay those of the data sets beside it
        column = None if data.splits.indices or name else data.splits.column
        taken = _Taken(name, paths[name], asked, apart, column)
        if len(names) > 1:
            taken.leave_what_is_not_there()
        here[name] = taken.kept_in(_writable(folder), cache, say)
        labels |= {method: own for method, own in taken.renamed.items() if method in asked}
        provenance = dataset.provenance(here[name])
        notes += provenance.get("notes", [])
        if INDICES in paths and (left := provenance.get("left_out", 0)):
            raise DataError(
                f"data.splits.given: it counts the structures of {paths[name]}, of which {count(left, 'structure')} "
                f"that are isolated atoms do not come in. Import the file, and count those of the data set: "
                f"{taken.rules.command([paths[name]], taken.target)}"
            )
    return Intake(here, labels, notes)


class _Taken:
    """What is taken from one source."""

    def __init__(
        self, name: str, path: Path, asked: Mapping[str, LabelKeys], apart: Mapping[str, bool], column: str | None
    ) -> None:
        self._place = f"data.sources.{name}" if name else "data.source"
        self._path = path
        self._asked = dict(asked)
        self._apart = apart
        self._column = column
        self._named = {self._name_of(method, keys): method for method, keys in asked.items()}
        self.target = path.with_name(f"{path.name.partition('.')[0]}-dataset.h5")
        """What the data set is called in commands for the user."""

    @functools.cached_property
    def _layout(self) -> object:
        return layout_of(self._path)

    def leave_what_is_not_there(self) -> None:
        """Leave the methods of which this one of several files has no labels.

        Raises:
            DataError: it has those of no method.
        """
        first: DataError | None = None
        for method, keys in list(self._asked.items()):
            try:
                made = layout_of(self._path)(self._path, Rules(self._labels({method: keys}), columns=()))
                if isinstance(made, AseSource):
                    made.require_there(method)
            except DataError as error:
                if keys.source is not None:
                    continue  # it is to be there: the import says what is wrong
                first = first or error
                del self._asked[method]
        if not self._asked and first is not None:
            raise DataError(f"{self._place}: {self._in_words_of_a_spec(str(first))}")

    @property
    def renamed(self) -> dict[str, LabelKeys]:
        """Return label method -> its keys in the data set."""
        return {
            method: keys.but(energy=f"{name}.energy", forces=keys.forces and f"{name}.forces")
            for method, keys in self._asked.items()
            for name in [self._name_of(method, keys)]
        }

    @property
    def rules(self) -> Rules:
        """Return the rules of the import."""
        return Rules(labels=self._labels(self._asked), columns=(self._column,) if self._column else None)

    def _labels(self, asked: Mapping[str, LabelKeys]) -> dict[str, LabelKeys | None]:
        names = self._layout is ReleaseSource  # which has its labels by the names of methods
        return {
            self._name_of(method, keys): None if names else LabelKeys(energy=keys.energy, forces=keys.forces)
            for method, keys in asked.items()
        }

    def _name_of(self, method: str, keys: LabelKeys) -> str:
        """Return what a method is called in the data set."""
        if self._layout is not ReleaseSource and not self._apart[method]:
            return method
        name = keys.energy.removesuffix(".energy")
        if keys.energy == f"{name}.energy" and keys.forces in (None, f"{name}.forces"):
            return name
        raise DataError(
            f"data.labels.{method}: expected keys X.energy and X.forces, as {self._path} and the data sets beside it "
            f"can have in common, got {', '.join(filter(None, (keys.energy, keys.forces)))}. Say `source:` where the "
            "labels of each file are a method of their own"
        )

    def kept_in(self, folder: Path, cache: Path | None, say: Callable[[str], object]) -> Path:
        """Return the data set, made where it is not there.

        Raises:
            DataError: the file cannot be read, or asks for options.
        """
        if self._path.is_dir() and not is_one(self._path):
            raise DataError(
                f"{self._place}: expected one file, got a folder. Make one data set of its files, and name that: "
                f"{self.rules.command([self._path], self.target)}"
            )
        content = [digest(file, cache) for file in files_of(self._path)]
        asked = {name: keys and keys.identity() for name, keys in self.rules.labels.items()}
        taken = fingerprint({"content": content, "labels": asked, "column": self._column, "by": [MADE, JUDGED]})
        path = folder / f"{self._path.name}-{taken[:16]}.h5"
        with locked(folder, wait=True):
            if path.exists() and not _is_whole(path, cache):
                set_aside(path)
            if not path.exists():
                self._import(path, say)
        return path

    def _import(self, path: Path, say: Callable[[str], object]) -> None:
        say(f"{self._path} is no data set yet: it is imported on this first use")
        try:
            summary = import_files([self._path], path, self.rules, advised=self.target)
        except DataError as error:
            text = self._in_words_of_a_spec(str(error))
            then = f". {self._place} then names that data set" if "mfsweep data import " in text else ""
            raise DataError(f"{self._place}: {text}{then}") from error
        where = "for this command alone" if path.parent == _of_process() else f"kept in {path.parent}"
        say(f"  {count(summary.structures, 'structure')} in {summary.seconds:.1f} s, {where}")

    def _in_words_of_a_spec(self, text: str) -> str:
        for name, method in self._named.items():
            text = text.replace(f"--labels {name}:", f"data.labels.{method}:")
        return text.replace("--column:", f"data.splits: the column {self._column}:")


def _is_whole(path: Path, cache: Path | None) -> bool:
    try:
        contents({"": path}, cache)
    except DataError:
        return False
    return True


def _writable(folder: Path | None) -> Path:
    """Return a folder for data sets: the one given, else one that goes with this process."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return _of_process()
        if os.access(folder, os.W_OK):
            return folder
    return _of_process()


@functools.cache
def _of_process() -> Path:
    return Path(_kept_until_exit().name)


@functools.cache
def _kept_until_exit() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mfsweep-datasets-")
