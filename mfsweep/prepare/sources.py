"""The sources of a spec: found, imported where they are no data set yet, and what is in them."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from mfsweep.data.importing.rules import Rules
from mfsweep.data.intake import take_in
from mfsweep.data.source import contents, resolve, variables
from mfsweep.errors import DataError, MissingDataError
from mfsweep.prepare.data_errors import at_its_line
from mfsweep.spec.data import INDICES, Content, LabelKeys
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import Spec
from mfsweep.store import StoreFolder


class Ways(NamedTuple):
    """How sources are looked for."""

    allow_missing: bool = False
    """Whether a plan is made without a file that is not at hand."""
    verify: bool = False
    """Whether every file is read, whatever the store remembers of it."""
    keep: bool = True
    """Whether data sets made of sources are kept in the store; else they go with this process."""
    say: Callable[[str], object] = lambda _: None
    """Told what takes long."""


class Sources(NamedTuple):
    """What was found; no files where one is missing or cannot be read."""

    spec: Spec
    """With the keys of the labels as they are in the files."""
    files: dict[str, Path]
    """Name of the source -> its data set, or its file of the ANI-1x layout."""
    content: Content
    warnings: tuple[str, ...]


def find_sources(spec: Spec, store: StoreFolder, found: Gathered, ways: Ways) -> Sources:
    """Find the sources of a spec.

    Args:
        spec: its paths begin at its folder.
        store: remembers digests, and keeps data sets.
        found: takes the errors.
        ways: how.
    """
    data = spec.experiment.data
    cache = store.digests if store.is_there else None
    folder = spec.document.path.absolute().parent
    with found.errors():
        refuse_axes(spec)
    try:
        for name, source in data.files.items():
            _refuse_several(name, source, folder, data.labels)
        files = {name: resolve(source, folder, name) for name, source in data.files.items()}
        if data.splits.indices:
            files[INDICES] = resolve(data.splits.indices, folder, place="data.splits.given")
        taken = take_in(files, data, store.datasets if ways.keep else None, cache, ways.say)
        content = contents(taken.paths, cache, anew=ways.verify, atoms=data.offsets == "isolated_atoms")
        return Sources(spec.with_labels(taken.labels), taken.paths, content, tuple(taken.notes))
    except MissingDataError as error:
        if not ways.allow_missing:
            found.add(at_its_line(spec, error))
        warning = f"{error} Planned without the data: sizes, labels and what is done already were not looked at"
        return Sources(spec, {}, Content(digest=f"not at hand: {data.files}", at_hand=False), (warning,))
    except DataError as error:
        found.add(at_its_line(spec, error))
        return Sources(spec, {}, Content(digest="not known"), ())


def refuse_axes(spec: Spec) -> None:
    """Refuse `${name}` of an axis in the path of a source, where it means a variable of the environment.

    Raises:
        SpecError: all cells have the same data.
    """
    axes = {axis for block in [*spec.blocks, spec.searched] for axis in block}
    for name, source in spec.experiment.data.files.items():
        if taken := axes.intersection(variables(source)):
            place = ("data", "sources", name) if name else ("data", "source")
            expected = f"a path without the axis {min(taken)}: all cells have the same data. ${{NAME}} means a variable"
            raise spec.document.error(place, source, f"{expected} of the environment here")


def _refuse_several(name: str, source: str, folder: Path, labels: Mapping[str, LabelKeys]) -> None:
    """Refuse a part of a file, or a pattern of names, where there is no file of that very name.

    Raises:
        DataError: with the command that makes one data set of it.
    """
    is_part = re.search(r"@-?\d*(:-?\d*){0,2}$", source) is not None
    if not (is_part or glob.has_magic(source)) or "${" in source or (folder / source).exists():
        return
    own = {method: keys.but(source=None) for method, keys in labels.items() if keys.source in (None, name)}
    command = Rules(labels=own).command([folder / source], folder / "dataset.h5")
    raise DataError(
        f"{f'data.sources.{name}' if name else 'data.source'}: expected one file, got "
        f"{'a part of one' if is_part else 'a pattern of names'}, {source!r}. Make one data set of it, and name that: "
        f"{command}"
    )
