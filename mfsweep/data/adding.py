"""Labels of one data set for the same structures in another: by geometry, whatever their order.

Labels that are there stay as they are. Under a new name they and the new ones stand together, and no stage that has
read the old name is trained anew: its key holds the digest of the old labels (docs/how-to/select.md).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import dataset
from mfsweep.data.structures import Labels, Structures
from mfsweep.data.survey.duplicates import CONFLICT, structure_hashes
from mfsweep.errors import DataError, nearest
from mfsweep.files import locked


class AddedLabels(NamedTuple):
    """What came in."""

    name: str
    """What the labels are called."""
    found: int
    """Structures of the other data set with a label whose geometry is in this one."""
    offered: int
    """Structures of the other data set with a label."""
    new: int
    """Structures that had no label before."""
    labelled: int
    """Structures with a label now."""
    structures: int


def add(path: Path, other: Path, method: str, name: str | None = None, *, replace: bool = False) -> AddedLabels:
    """Give the structures of a data set the labels that another has of them.

    Args:
        path: the data set.
        other: a data set with labels.
        method: of the labels, in both.
        name: what they are called afterwards, with those that were there. Default: `method`.
        replace: whether labels of that name may be there already. They are kept where the other has none.

    Raises:
        DataError: no data sets, no such labels, other labels for the same structure, or nothing to add.
    """
    name = name or method
    for file in (path, other):
        if not file.exists():
            raise DataError(f"{file}: no such file")
        if not dataset.is_dataset(file):
            raise DataError(f"{file}: expected a data set: `mfsweep data import` judges a file and makes one of it")
    offered = dataset.methods(other)
    if method not in offered:
        known = ", ".join(offered) or "none"
        raise DataError(f"{other}: no label method {method!r}.{nearest(method, offered)} There are: {known}")
    if "/" in name or name != name.strip() or not name:
        raise DataError(f"--as {name!r}: expected a name without `/` or spaces around it")
    there = dataset.methods(path)
    if name in there and not replace:
        raise DataError(
            f"{path} has labels {name!r} already, and stages that have read them would train anew: give the labels "
            "together another name with --as, or say --replace"
        )
    with locked(path.resolve().parent, wait=True):
        old = dataset.read(path, {name: there[name] for name in dict.fromkeys((method, name)) if name in there})
        new = dataset.read(other, {method: offered[method]})
        before = old.labels.get(name) if name in there else old.labels.get(method)
        labels, found = _joined(path, old, before, new, method)
        had = np.zeros(len(old.sizes), np.bool_) if before is None else ~np.isnan(before.energy)
        now = ~np.isnan(labels.energy)
        if not (now & ~had).any():
            what = "no structure" if not (found >= 0).any() else "no structure without a label"
            raise DataError(f"{path}: {what} has a geometry that {other} has {method} labels of: nothing is added")
        seconds = _seconds(path, other, old, new, name if name in there else method, method, found)
        provenance = {"added_from": other.name, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        made = dataset.NewLabels(labels.energy, labels.forces, dataset.Labelling(seconds, {}, provenance))
        dataset.add_labels(path, name, made, replace=replace)
    count = int((~np.isnan(new.labels[method].energy)).sum())
    return AddedLabels(name, int((found >= 0).sum()), count, int((now & ~had).sum()), int(now.sum()), len(now))


def _joined(
    path: Path, old: Structures, before: Labels | None, new: Structures, method: str
) -> tuple[Labels, NDArray[np.int64]]:
    """Return the labels together, and for each structure its place in the other data set, (S,), -1 for none.

    Raises:
        DataError: forces on one side alone, or two labels of one structure.
    """
    theirs = new.labels[method]
    if before is not None and (before.forces is None) != (theirs.forces is None):
        has, lacks = ("its own", "the new") if theirs.forces is None else ("the new", "its own")
        raise DataError(f"{path}: {has} {method} labels have forces and {lacks} have none: both or neither is expected")
    offered = np.flatnonzero(~np.isnan(theirs.energy))
    hashes, first = np.unique(structure_hashes(new)[offered], return_index=True)
    asked = structure_hashes(old)
    place = np.minimum(np.searchsorted(hashes, asked), max(len(hashes) - 1, 0))
    found = np.full(len(asked), -1, np.int64)
    if len(hashes):
        same = hashes[place] == asked
        found[same] = offered[first[place[same]]]
    energy = np.full(len(asked), np.nan) if before is None else np.array(before.energy)
    both = (found >= 0) & ~np.isnan(energy)
    apart = np.abs(energy[both] - theirs.energy[found[both]])
    if (apart > CONFLICT).any():
        worst = int(np.flatnonzero(both)[apart.argmax()])
        raise DataError(
            f"{path}: {old.describe(worst)} has another {method} energy already, {apart.max():.4g} eV apart: are these "
            "labels of one method? Give those of another calculation a name of their own with --as"
        )
    taken = np.flatnonzero((found >= 0) & np.isnan(energy))
    energy[taken] = theirs.energy[found[taken]]
    if theirs.forces is None:
        return Labels(energy, None), found
    forces = np.full(old.positions.shape, np.nan, np.float32) if before is None else np.array(before.forces)
    forces[old.atoms_of(taken)] = theirs.forces[new.atoms_of(found[taken])]
    return Labels(energy, forces), found


def _seconds(
    path: Path, other: Path, old: Structures, new: Structures, before: str, method: str, found: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what each label took, (S,), as far as either data set knows."""
    mine, theirs = dataset.labellings(path).get(before), dataset.labellings(other).get(method)
    seconds = np.full(len(old.sizes), np.nan, np.float32) if mine is None else np.array(mine.seconds)
    taken = (found >= 0) & np.isnan(seconds)
    if theirs is not None:
        assert len(theirs.seconds) == len(new.sizes)
        seconds[taken] = theirs.seconds[found[taken]]
    return seconds
