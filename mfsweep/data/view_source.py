"""The files that views are of, and what is computed of them whatever a training says: edges, hashes, derived labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import dataset
from mfsweep.data.derived import derive
from mfsweep.data.edge_files import kept_neighbours
from mfsweep.data.given import with_indices
from mfsweep.data.neighbours import Edges, neighbours
from mfsweep.data.reading import read
from mfsweep.data.structures import Labels, Structures
from mfsweep.data.survey.duplicates import structure_hashes
from mfsweep.errors import DataError
from mfsweep.files import facts
from mfsweep.spec.data import INDICES, Derived, LabelKeys


class SourceFile(NamedTuple):
    """A file as it stands now."""

    name: str
    path: Path
    facts: tuple[int, ...]

    @classmethod
    def of(cls, name: str, path: Path) -> SourceFile:
        """Return a file as it stands.

        Raises:
            DataError: it cannot be read.
        """
        real = path.resolve()
        try:
            return cls(name, real, facts(real))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


class ViewSource:
    """The structures of one file, or of several, with some methods' labels; shared by every `DataView` on them."""

    def __init__(self, paths: Mapping[str, Path], labels: dict[str, LabelKeys], folder: Path | None = None) -> None:
        indices = paths.get(INDICES)
        paths = {name: path for name, path in paths.items() if name != INDICES}
        self.place = " and ".join(str(path) for path in paths.values())
        self.structures: Structures = read(paths, labels)
        if indices is not None:
            self.structures = with_indices(self.structures, indices)
        self.datasets = {name: path for name, path in paths.items() if dataset.is_dataset(path)}
        self.paths = dict(paths)
        self.judged: dict[str, NDArray[np.bool_]] = {}
        self.judged_labels: dict[tuple[str, bytes], list[str]] = {}
        self._hashes: NDArray[np.uint64] | None = None
        self._edges: dict[float, Edges] = {}
        self._folder = folder
        self._derived: dict[Derived, Labels] = {}

    def derived(self, method: Derived) -> Labels:
        """Return the labels of a method that is made of others, where none is shuffled across parts of a partition."""
        if method not in self._derived:
            self._derived[method] = derive(self.structures, method)
        return self._derived[method]

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Return a hash of each structure's geometry, (S,)."""
        if self._hashes is None:
            self._hashes = structure_hashes(self.structures)
        return self._hashes

    def edges(self, cutoff: float) -> Edges:
        """Return the neighbours of every atom within `cutoff` angstrom."""
        if cutoff not in self._edges:
            own, folder = self.structures, self._folder
            self._edges[cutoff] = kept_neighbours(own, cutoff, folder) if folder else neighbours(own, cutoff)
        return self._edges[cutoff]
