"""Labels that mfsweep made itself, in a data set: added as a whole, with their cost and their failures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset.layout import (
    array_of,
    group_of,
    groups_of,
    new_file,
    read_json,
    seal,
    write_array,
    write_json,
)
from mfsweep.data.dataset.reader import opened_dataset
from mfsweep.errors import DataError
from mfsweep.files import write_file


class Labelling(NamedTuple):
    """How labels were made."""

    seconds: NDArray[np.float32]
    """(S,) core-seconds that each label took; NaN where none was computed."""
    failures: Mapping[int, str]
    """Structure -> why it has no label."""
    provenance: Mapping[str, Any]
    """Method, options and software, as plain data."""


class NewLabels(NamedTuple):
    """Labels of every structure of a data set, and how they were made."""

    energy: NDArray[np.float64]
    """(S,) eV; NaN where there is no label."""
    forces: NDArray[np.float32] | None
    """(A, 3) eV/angstrom, all NaN over a structure without; None for a method without forces."""
    labelling: Labelling


def add_labels(path: Path, method: str, labels: NewLabels, *, replace: bool = False) -> None:
    """Put a method's labels into a data set.

    The file is written anew beside the old one and renamed: readers that have the old one mapped go on with it, and a
    process that is killed here leaves it as it was.

    Args:
        path: the data set.
        method: name of the labels, `METHOD.energy` and `METHOD.forces`.
        labels: of every structure.
        replace: whether labels of that name may be there already.

    Raises:
        DataError: no data set, labels of that name, or a full disk.
    """
    with opened_dataset(path) as old:
        if f"{method}.energy" in group_of(old, "labels") and not replace:
            raise DataError(f"{path} has labels {method!r} already: give these another name")
        assert labels.energy.shape == array_of(old, "geometry/rank").shape
        assert labels.forces is None or labels.forces.shape == array_of(old, "geometry/positions").shape

        def write(temporary: Path) -> None:
            with new_file(temporary) as new:
                _copy(
                    old, new, without={f"/labels/{method}.energy", f"/labels/{method}.forces", f"/labelling/{method}"}
                )
                own = group_of(new, "labels")
                write_array(own, f"{method}.energy", labels.energy)
                if labels.forces is not None:
                    write_array(own, f"{method}.forces", labels.forces)
                group = new.require_group("labelling").create_group(method)
                write_array(group, "seconds", np.asarray(labels.labelling.seconds, np.float32))
                write_json(group, "failures", {str(index): why for index, why in labels.labelling.failures.items()})
                write_json(group, "provenance", dict(labels.labelling.provenance))
                seal(new)

        try:
            write_file(path.resolve(), write)  # behind a link, so that the link stays one
        except (OSError, RuntimeError) as error:  # h5py raises either where a disk is full
            raise DataError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error


def labellings(path: Path) -> dict[str, Labelling]:
    """Return how the labels that mfsweep made were made: method -> costs, failures, provenance.

    Raises:
        DataError: no data set, or a damaged one.
    """
    with opened_dataset(path) as file:
        return {
            method: Labelling(
                seconds=array_of(group, "seconds")[()],
                failures={int(index): why for index, why in read_json(group, "failures").items()},
                provenance=read_json(group, "provenance"),
            )
            for method, group in groups_of(file, "labelling").items()
        }


def _copy(old: h5py.Group, new: h5py.Group, without: set[str]) -> None:
    """Copy groups and arrays, but for those without; each array's layout and digest come along."""
    for name in old:
        item = old[name]
        if item.name in without:
            continue
        if isinstance(item, h5py.Group):
            _copy(item, new.require_group(name), without)
        else:
            old.copy(item, new, name)
