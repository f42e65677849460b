"""One source file by itself, without a spec: its structures with every label that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mfsweep.data import ani1x, dataset
from mfsweep.data.bundles import BUNDLED
from mfsweep.data.hdf5 import pairs
from mfsweep.data.importing.ani import AniSource
from mfsweep.data.importing.ase_files import HEAD, AseSource
from mfsweep.data.importing.conformers import ConformerSource
from mfsweep.data.importing.keys import labels_of, picked
from mfsweep.data.importing.layouts import layout_of
from mfsweep.data.importing.memory import collected
from mfsweep.data.importing.parts import ImportSource, OptionNeededError
from mfsweep.data.importing.release import ReleaseSource
from mfsweep.data.importing.rules import Rules
from mfsweep.data.lone import IsolatedAtoms
from mfsweep.data.reading import read
from mfsweep.data.source import resolve
from mfsweep.data.structures import Structures
from mfsweep.data.units import ANI_UNITS, ASE_UNITS, Units
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

UNNAMED = "unnamed"
"""What the label method of a file is called that names none."""


class Opened(NamedTuple):
    """A file and what was read of it."""

    path: Path
    layout: str
    structures: Structures
    labels: dict[str, LabelKeys]
    """Label method -> its keys in the file."""
    other_keys: list[str]
    """Keys of the file that belong to none of these, where they are known."""
    units: Units
    """Units of the file, as its labels were taken."""
    notes: list[str]
    """What is to be known of the reading."""


def open_file(place: str, asked: Sequence[str] = ()) -> Opened:
    """Open a data set, or a file of any layout that can be imported.

    Args:
        place: its path, or `bundled:<name>`.
        asked: `NAME` or `NAME=ENERGY_KEY[,FORCES_KEY]` each. Default: every pair X.energy, X.forces under the name X;
            of a file without such names what an import would take, under the name UNNAMED.

    Raises:
        DataError: the file is not there, is damaged or of another kind, or has no such keys.
    """
    path = resolve(place, Path()) if place.startswith(BUNDLED) else Path(place)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    wanted = labels_of(asked)
    is_dataset = dataset.is_dataset(path)
    if not is_dataset and layout_of(path) is not AniSource:
        return _foreign(path, wanted)
    keys = (dataset if is_dataset else ani1x).keys(path)
    labels = picked(str(path), wanted, keys) if asked else pairs(keys)
    structures = read({"": path}, labels)
    used = {key for own in labels.values() for key in (own.energy, own.forces)}
    units = ASE_UNITS if is_dataset else ANI_UNITS
    layout = "data set" if is_dataset else f"ANI-1x layout {_taken_for(units)}"
    return Opened(path, layout, structures, labels, sorted(keys - used), units, [])


def _foreign(path: Path, wanted: Mapping[str, LabelKeys | None]) -> Opened:
    source = _source(path, wanted)
    lone = IsolatedAtoms()
    structures = collected(source, source.labels, lone)
    notes = [*source.warnings, *lone.notes()]
    layout = f"{source.layout} {_taken_for(source.units)}"
    return Opened(path, layout, structures, dict(source.labels), [], source.units, notes)


def _source(path: Path, wanted: Mapping[str, LabelKeys | None]) -> ImportSource:
    made = layout_of(path)
    named = wanted or ({} if made is ReleaseSource or getattr(made, "method", None) else {UNNAMED: None})
    bare = Rules({}, columns=(), geometries=True)
    try:
        source = made(path, Rules(named, columns=()))
        if not wanted and isinstance(source, AseSource) and not source.has_energies:
            return AseSource(path, bare)
    except OptionNeededError:
        return AseSource(path, Rules(named, columns=(), method_column=HEAD))
    except DataError:
        if wanted or not issubclass(made, ConformerSource):
            raise
        return made(path, bare)
    return source


def _taken_for(units: Units) -> str:
    return f"(energies read as {units.energy}, forces as {units.forces})"
