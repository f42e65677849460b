"""What the first group of an HDF5 file holds: by that its layout is told, before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py

DEEPEST = 16
"""Groups within groups, at most: hard links can lead round in circles."""


class Glance(NamedTuple):
    """The first group with datasets."""

    top: str
    """Name of the first group of the file."""
    shapes: dict[str, tuple[int, ...]]
    """Its datasets and their shapes."""


def glance(path: Path) -> Glance | None:
    """Return what the first group of a file holds; None where it is no HDF5, is damaged, or leads to other files."""
    try:
        if not (path.is_file() and h5py.is_hdf5(path)):
            return None
        with h5py.File(path, "r") as file:
            node: h5py.Group = file
            top = str(next(iter(file), ""))
            for _ in range(DEEPEST):
                own = {name: child for name in map(str, node) if (child := _own(node, name)) is not None}
                datasets = {name: child for name, child in own.items() if isinstance(child, h5py.Dataset)}
                if datasets and node is not file:
                    return Glance(top, {name: child.shape for name, child in datasets.items()})
                groups = [child for child in own.values() if isinstance(child, h5py.Group)]
                if not groups:
                    return None
                node = groups[0]
    except Exception:  # noqa: BLE001 (h5py raises anything on damaged files; whoever reads the file says what is wrong)
        return None
    return None


def _own(node: h5py.Group, name: str) -> object:
    """Return a member that lies in the file itself, else None: a link is never followed."""
    return node[name] if isinstance(node.get(name, getlink=True), h5py.HardLink) else None
