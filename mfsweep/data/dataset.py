"""One source seen through one `ResolvedData`: who trains on what, with which offsets and which edges.

Nothing is computed before it is asked for, and everything is kept: a worker process runs many stages, and stages of
one file differ at most in their split seed, so files, edges, partitions and offsets are each paid for once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import ani1x
from mfsweep.data.batch import Edges, neighbours
from mfsweep.data.reference import fit_offsets
from mfsweep.data.splits import Partition, partition
from mfsweep.data.structures import Structures
from mfsweep.errors import DataError, nearest
from mfsweep.fingerprint import canonical
from mfsweep.spec.data import LabelKeys, ResolvedData, SubsetName
from mfsweep.spec.stage import Evaluation, LabelledSet

Indices = NDArray[np.int64]


class Source:
    """One file's structures with some methods' labels; shared by every `Dataset` on it."""

    def __init__(self, path: Path, labels: dict[str, LabelKeys]) -> None:
        self.path = path
        self.structures: Structures = ani1x.read(path, labels)
        self._edges: dict[float, Edges] = {}
        # The views live in their source, so that a source that is let go takes them along.
        self.view = functools.lru_cache(maxsize=16)(self._view)

    def _view(self, data_json: str) -> Dataset:
        return Dataset(self, ResolvedData.model_validate_json(data_json))

    def edges(self, cutoff: float) -> Edges:
        """Return the neighbours of every atom within `cutoff` angstrom."""
        if cutoff not in self._edges:
            self._edges[cutoff] = neighbours(self.structures, cutoff)
        return self._edges[cutoff]


class Dataset:
    """A source, its partition, and the labelled sets and offsets that follow from it."""

    def __init__(self, source: Source, data: ResolvedData) -> None:
        self.path = source.path
        self.structures: Structures = source.structures
        self.data = data
        self._source = source
        self._offsets: dict[tuple[str, bytes], dict[int, float]] = {}

    @functools.cached_property
    def partition(self) -> Partition:
        """Return who is in which subset.

        Raises:
            DataError: a subset cannot be filled.
        """
        with self._named():
            return partition(self.structures, self.data.splits)

    @functools.cached_property
    def elements(self) -> tuple[int, ...]:
        """Return all atomic numbers of the file, ascending."""
        return tuple(np.unique(self.structures.species).tolist())

    def training(self, labelled: LabelledSet) -> Indices:
        """Return a labelled set's structures, (n,), in prefix order: smaller sizes are prefixes of larger ones.

        Raises:
            DataError: no such subset or method, a size above the subset's, or a structure without the label.
        """
        members = self._subset(labelled.subset)
        place = f"the set ({labelled.labels}; {labelled.subset}; {labelled.size})"
        if labelled.size != "all":
            if labelled.size > len(members):
                raise DataError(
                    f"{self.path}: {place}: expected at most {len(members)} structures, which the training part "
                    f"of {labelled.subset!r} holds. Lower the size, or raise data.splits.{labelled.subset}.size"
                )
            members = members[: labelled.size]
        self._require_labels(labelled.labels, labelled.subset, members, place)
        return members

    def validation(self, method: str, subsets: Collection[SubsetName]) -> Indices:
        """Return the validation structures of several subsets that carry a method's labels, (n,) ascending."""
        self._require_method(method)
        for name in subsets:
            self._subset(name)
        pooled = [self.partition.validation[name] for name in sorted(set(subsets))]
        members = np.sort(np.concatenate([np.empty(0, np.int64), *pooled]))
        return members[self.structures.usable(method)[members]]

    def part(self, evaluation: Evaluation) -> Indices:
        """Return the structures on which an evaluation scores, (n,) ascending.

        `train` and `test` are both the subset's training part: a test subset's is what no stage trains on.

        Raises:
            DataError: no such subset or method, no structures, or a structure without the label.
        """
        members = self._subset(evaluation.subset)
        if evaluation.part == "validation":
            members = self.partition.validation[evaluation.subset]
        place = f"the {evaluation.part} structures of {evaluation.subset!r}"
        if not len(members):
            raise DataError(f"{self.path}: there are none of {place}: set data.splits.{evaluation.subset}.validation")
        self._require_labels(evaluation.labels, evaluation.subset, members, place)
        return np.sort(members)

    def fit_set(self, method: str, sets: Sequence[LabelledSet]) -> tuple[Indices, str]:
        """Return the structures on which a method's energy offsets are fitted, (n,) ascending, and their name.

        `fixed`: those of the training part of `a` that carry the method's energy; where none does, the whole training
        part of the subsets on which `sets` use the method. `paid`: the structures of `sets` with the method.

        Raises:
            DataError: there are none.
        """
        self._require_method(method)
        own = [labelled for labelled in sets if labelled.labels == method]
        if self.data.offsets == "paid":
            groups = [self.training(labelled) for labelled in own]
            name = "the stage's own training structures (data.offsets: paid)"
        else:
            carries = self.structures.carries(method, forces=False)
            in_a = self.partition.train.get("a", np.empty(0, np.int64))
            in_a = in_a[carries[in_a]]
            if len(in_a):
                return np.sort(in_a), "the training part of a"
            names: list[SubsetName] = sorted({labelled.subset for labelled in own})
            groups = [members[carries[members]] for members in map(self._subset, names)]
            name = f"the training part of {' and '.join(names)}"
        members = np.unique(np.concatenate([np.empty(0, np.int64), *groups]))
        if not len(members):
            raise DataError(
                f"{self.path}: no structures to fit the energy offsets of {method} on: none of the training part of a "
                "carries its labels, and this stage does not train on it. Let data.splits.a.needs name the method"
                + (", or use data.offsets: fixed" if self.data.offsets == "paid" else "")
            )
        return members, name

    def offsets(self, method: str, sets: Sequence[LabelledSet]) -> dict[int, float]:
        """Return the energy offsets of a method for a training on `sets`: atomic number -> eV.

        Raises:
            DataError: there is nothing to fit on, or the structures do not determine the offsets.
        """
        members, name = self.fit_set(method, sets)
        key = (method, members.tobytes())
        if key not in self._offsets:
            with self._named(f"{name}: "):
                self._offsets[key] = fit_offsets(self.structures, method, members)
        return dict(self._offsets[key])

    def edges(self, cutoff: float) -> Edges:
        """Return the neighbours of every atom of the source within `cutoff` angstrom."""
        return self._source.edges(cutoff)

    def _subset(self, name: SubsetName) -> Indices:
        """Return the training part of a subset, in prefix order."""
        if name not in self.partition.train:
            raise DataError(
                f"{self.path}: expected one of the subsets {', '.join(self.partition.train) or '(none)'}, which "
                f"data.splits declares, got {name!r}"
            )
        return self.partition.train[name]

    def _require_method(self, method: str) -> None:
        if method not in self.structures.labels:
            known = ", ".join(self.structures.labels)
            raise DataError(
                f"{self.path}: expected one of the label methods {known}, which data.labels declares, got {method!r}."
                f"{nearest(method, self.structures.labels)}"
            )

    def _require_labels(self, method: str, subset: str, members: Indices, place: str) -> None:
        self._require_method(method)
        missing = members[~self.structures.usable(method)[members]]
        if len(missing):
            what = "energy and forces" if self.structures.labels[method].forces is not None else "energy"
            raise DataError(
                f"{self.path}: {place}: {len(missing)} of {len(members)} structures have no {method} {what} "
                f"(NaN), the first is {self.structures.describe(int(missing[0]))}. "
                f"Let data.splits.{subset}.needs name {method}"
            )

    @contextmanager
    def _named(self, place: str = "") -> Iterator[None]:
        """Put the file's name in front of an error of the pure functions, which know arrays only."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.path}: {place}{error}") from error


def open_dataset(path: Path, data: ResolvedData) -> Dataset:
    """Return the dataset of a file and what a training says of it; kept in this process.

    Where the file lies is no part of `data`: the caller vouches that its content is `data.digest` (source.verify).

    Raises:
        DataError: the file cannot be read, or lacks a key.
    """
    real = path.resolve()
    try:
        facts = real.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    labels = canonical({method: keys.identity() for method, keys in data.labels.items()})
    return _source(real, facts.st_size, facts.st_mtime_ns, labels).view(data.model_dump_json())


@functools.lru_cache(maxsize=2)
def _source(path: Path, _size: int, _modified: int, labels_json: str) -> Source:
    labels = {method: LabelKeys.model_validate(keys) for method, keys in json.loads(labels_json).items()}
    return Source(path, labels)
