"""One source file by itself, without a spec: its structures with every label that it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mfsweep.data import ani1x, dataset
from mfsweep.data.hdf5 import pairs
from mfsweep.data.importing.keys import labels_of, picked
from mfsweep.data.reading import read
from mfsweep.data.source import BUNDLED, resolve
from mfsweep.data.structures import Structures
from mfsweep.spec.data import LabelKeys


class Opened(NamedTuple):
    """A file and what was read of it."""

    path: Path
    layout: str
    structures: Structures
    labels: dict[str, LabelKeys]
    """Label method -> its keys in the file."""
    other_keys: list[str]
    """Keys of the file that belong to none of these."""


def open_file(place: str, asked: Sequence[str] = ()) -> Opened:
    """Open a data set or a file of the ANI-1x layout.

    Args:
        place: its path, or `bundled:<name>`.
        asked: `NAME` or `NAME=ENERGY_KEY[,FORCES_KEY]` each. Default: every pair X.energy, X.forces under the name X.

    Raises:
        DataError: the file is not there, is damaged or of another kind, or has no such keys.
    """
    path = resolve(place, Path()) if place.startswith(BUNDLED) else Path(place)
    is_dataset = dataset.is_dataset(path)
    keys = (dataset if is_dataset else ani1x).keys(path)
    labels = picked(str(path), labels_of(asked), keys) if asked else pairs(keys)
    structures = read({"": path}, labels)
    used = {key for own in labels.values() for key in (own.energy, own.forces)}
    layout = "data set" if is_dataset else "ANI-1x layout (energies taken for hartree, forces for hartree/angstrom)"
    return Opened(path, layout, structures, labels, sorted(keys - used))
