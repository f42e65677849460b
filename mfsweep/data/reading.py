"""Structures from the files of a spec: a data set, which is mapped, or a file of the ANI-1x layout, which is read.

Sources of other layouts are data sets by then (intake.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from mfsweep.data import ani1x, dataset
from mfsweep.data.hdf5 import require_keys
from mfsweep.data.importing import memory
from mfsweep.data.structures import Structures, concatenate
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys


def read(paths: Mapping[str, Path], labels: Mapping[str, LabelKeys]) -> Structures:
    """Return the structures of one file, or of several whose structures need not be paired.

    Args:
        paths: name of the source -> its file; that of a single one is empty. Several are held in memory together, also
            where they are data sets.
        labels: label method -> keys; of several files, a method has no labels in one without them, or in another than
            its `source`.

    Raises:
        DataError: a file cannot be read, or a key that no file has that it may come from.
    """
    if set(paths) == {""}:
        return _reader(paths[""]).read(paths[""], labels)
    present = {name: keys_of(path) for name, path in paths.items()}
    for method, keys in labels.items():
        if keys.source is not None and keys.source not in paths:
            raise DataError(
                f"data.labels.{method}.source: expected one of the sources {', '.join(sorted(paths))}, got "
                f"{keys.source!r}.{nearest(keys.source, paths)}"
            )
        names = [name for name in paths if keys.source in (None, name)]
        everywhere = set[str]().union(*(present[name] for name in names))
        require_keys(" and ".join(str(paths[name]) for name in names), everywhere, {method: keys})
    absent = {name: [method for method, keys in labels.items() if keys.source not in (None, name)] for name in paths}
    parts = {
        name: (dataset if dataset.is_dataset(path) else memory).read(path, labels, absent[name])
        for name, path in paths.items()
    }
    return concatenate(parts)


def keys_of(path: Path) -> set[str]:
    """Return the names of the labels in a file.

    Raises:
        DataError: it cannot be read.
    """
    return set((dataset if dataset.is_dataset(path) else ani1x).keys(path))


def _reader(path: Path) -> ModuleType:
    return dataset if dataset.is_dataset(path) else memory
