"""The sources seen through one `ResolvedData`: who trains on what, with which offsets and which edges.

Nothing is computed before it is asked for, and everything is kept: a worker process runs many stages, and stages of
the same files differ at most in their split seed, so files, edges, partitions and offsets are each paid for once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.derived import derive
from mfsweep.data.neighbours import Edges
from mfsweep.data.reference import fit_offsets
from mfsweep.data.splits import Partition, partition
from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.data.view_source import SourceFile, ViewSource
from mfsweep.errors import DataError, nearest
from mfsweep.fingerprint import canonical
from mfsweep.spec.data import Derived, Difference, LabelKeys, ResolvedData, Shuffled, SubsetName, parts
from mfsweep.spec.stage import Evaluation, LabelledSet

Indices = NDArray[np.int64]


class DataView:
    """The structures, their partition, and the labelled sets and offsets that follow from it."""

    def __init__(self, source: ViewSource, data: ResolvedData) -> None:
        self.place = source.place
        self.data = data
        self.derived: dict[str, Derived] = data.derived or {}
        """The label methods that are made of others."""
        self._source = source
        self._offsets: dict[tuple[str, bytes], dict[int, float]] = {}

    @property
    def paths(self) -> dict[str, Path]:
        """Return the files by the names of the sources; that of a single one is empty."""
        return self._source.paths

    def all_datasets(self) -> list[Path]:
        """Return all files where they are data sets; where one is not, no file."""
        return list(self._source.datasets.values()) if len(self._source.datasets) == len(self._source.paths) else []

    @property
    def judged(self) -> dict[str, NDArray[np.bool_]]:
        """Return which structures, (S,), have been judged by now: their geometry, under the empty text, and labels."""
        return self._source.judged

    @property
    def judged_labels(self) -> dict[tuple[str, bytes], list[str]]:
        """Return what was said of labels that have been judged by now, by method and a digest of the flags."""
        return self._source.judged_labels

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Return a hash of each structure's geometry, (S,)."""
        return self._source.hashes

    def datasets(self, method: str) -> list[Path]:
        """Return the data sets of a method's labels, none where a file of another layout may hold some."""
        source = self.data.labels[method].source
        names = tuple(self._source.paths) if source is None else (source,)
        datasets = self._source.datasets
        return [datasets[name] for name in names] if all(name in datasets for name in names) else []

    @functools.cached_property
    def structures(self) -> Structures:
        """Return the structures with the labels of all methods, derived ones too.

        Raises:
            DataError: labels are to be shuffled within the parts of a partition that cannot be made.
        """
        plain, owners = self._source.structures, self.owners
        labels = {
            name: self._source.derived(method) if owners is None else derive(plain, method, owners)
            for name, method in self.derived.items()
        }
        return plain._replace(labels=plain.labels | labels)

    @property
    def owners(self) -> NDArray[np.int16] | None:
        """Return the part that owns each structure, (S,), where labels are shuffled and a formula may have several."""
        shuffles = any(isinstance(method, Shuffled) for method in self.derived.values())
        return self.partition.owners if shuffles and not self.data.splits.by_formula else None

    @functools.cached_property
    def partition(self) -> Partition:
        """Return who is in which subset.

        Raises:
            DataError: a subset cannot be filled.
        """
        with self.named():
            return partition(self._source.structures, self.data.splits, self.derived)

    @functools.cached_property
    def elements(self) -> tuple[int, ...]:
        """Return all atomic numbers of the files, ascending."""
        return tuple(np.flatnonzero(np.bincount(self.structures.species)).tolist())

    def training(self, labelled: LabelledSet) -> Indices:
        """Return a labelled set's structures, (n,), in prefix order: smaller sizes are prefixes of larger ones.

        Raises:
            DataError: no such subset or method, a size or range above the subset's, or a structure without the label.
        """
        members = self._subset(labelled.subset)
        if labelled.end is not None and labelled.end > len(members):
            raise DataError(
                f"{self.place}: {shown(labelled)}: expected at most {len(members)} structures, which the training part "
                f"of {labelled.subset!r} holds. Lower the {'range' if labelled.range else 'size'}, or raise "
                f"data.splits.{labelled.subset}.size"
            )
        members = members[labelled.range[0] if labelled.range else 0 : labelled.end]
        if labelled.size == "labelled":
            return self._labelled(labelled, members)
        self._require_labels(labelled.labels, labelled.subset, members, shown(labelled))
        return members

    def validation(self, method: str, subsets: Collection[SubsetName]) -> Indices:
        """Return the validation structures of several subsets that carry a method's labels, (n,) ascending."""
        self.require_method(method)
        for name in subsets:
            self._subset(name)
        pooled = [self.partition.validation[name] for name in sorted(set(subsets))]
        members = np.sort(np.concatenate([np.empty(0, np.int64), *pooled]))
        return members[self.structures.usable(method)[members]]

    def part(self, evaluation: Evaluation, sets: Sequence[LabelledSet] = ()) -> Indices:
        """Return the structures on which an evaluation of a training on `sets` scores, (n,) ascending.

        `test`: all of the subset's training part, which no stage trains on with these labels. `train`: those of it that
        the stage trained on with these labels, or with a difference that stands for them; where there are none, all.

        Raises:
            DataError: no such subset or method, no structures, or a structure without the label, or without that of the
                method whose values are added.
        """
        members = self._subset(evaluation.subset)
        if evaluation.part == "validation":
            members = self.partition.validation[evaluation.subset]
        elif evaluation.part == "train":
            learned = {evaluation.labels} | {
                name
                for name, method in self.derived.items()
                if isinstance(method, Difference) and method.target == evaluation.labels
            }
            own = [self.training(s) for s in sets if s.labels in learned and s.subset == evaluation.subset]
            members = np.unique(np.concatenate(own)) if own else members
        place = f"the {evaluation.part} structures of {evaluation.subset!r}"
        if not len(members):
            raise DataError(f"{self.place}: there are none of {place}: set data.splits.{evaluation.subset}.validation")
        self._require_labels(evaluation.labels, evaluation.subset, members, place)
        if evaluation.base is not None:
            self._require_labels(evaluation.base, evaluation.subset, members, place)
        return np.sort(members)

    def fit_set(self, method: str, sets: Sequence[LabelledSet]) -> tuple[Indices, str]:
        """Return the structures on which a method's energy offsets are fitted, (n,) ascending, and their name.

        `fixed`: those of the training part of `a` that carry the method's energy; where none does, the whole training
        part of the subsets on which `sets` use the method. `paid`: the structures of `sets` with the method.

        Raises:
            DataError: there are none.
        """
        self.require_method(method)
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
                f"{self.place}: no structures to fit the energy offsets of {method} on: none of the training part of a "
                "carries its labels, and this stage does not train on it. Let data.splits.a.needs name the method"
                + (", or use data.offsets: fixed" if self.data.offsets == "paid" else "")
            )
        return members, name

    def given(self, method: str) -> dict[int, float] | None:
        """Return the energy offsets of a method that the spec gives, atomic number -> eV; None where they are fitted.

        A shuffled method has those of its labels, a difference those of its parts where both are given.

        Raises:
            DataError: a symbol that no element has.
        """
        if not isinstance(self.data.offsets, dict):
            return None
        made = self.derived.get(method)
        tables = [self.data.offsets.get(part) for part in (made.methods if made else (method,))]
        if any(table is None for table in tables):
            return None
        found = [{self._number(symbol): energy for symbol, energy in (table or {}).items()} for table in tables]
        if isinstance(made, Difference):
            return {z: energy - found[1][z] for z, energy in found[0].items() if z in found[1]}
        return found[0]

    def _number(self, symbol: str) -> int:
        if symbol not in SYMBOLS[1:]:
            raise DataError(
                f"data.offsets: expected the symbol of an element, got {symbol!r}.{nearest(symbol, SYMBOLS)}"
            )
        return SYMBOLS.index(symbol)

    def offsets(self, method: str, sets: Sequence[LabelledSet]) -> dict[int, float]:
        """Return the energy offsets of a method for a training on `sets`: atomic number -> eV.

        Raises:
            DataError: there is nothing to fit on, or a symbol that no element has.
        """
        if (known := self.given(method)) is not None:
            return known
        members, name = self.fit_set(method, sets)
        key = (method, members.tobytes())
        if key not in self._offsets:
            with self.named(f"{name}: "):
                self._offsets[key] = fit_offsets(self.structures, method, members)
        return dict(self._offsets[key])

    def edges(self, cutoff: float) -> Edges:
        """Return the neighbours of every atom of the source within `cutoff` angstrom."""
        return self._source.edges(cutoff)

    def _subset(self, name: SubsetName) -> Indices:
        """Return the training part of a subset, in prefix order."""
        if name not in self.partition.train:
            raise DataError(
                f"{self.place}: expected one of the subsets {', '.join(self.partition.train) or '(none)'}, which "
                f"data.splits declares, got {name!r}"
            )
        return self.partition.train[name]

    def require_method(self, method: str) -> None:
        """Refuse a label method that `data` does not declare.

        Raises:
            DataError: with the nearest name.
        """
        if method not in self.structures.labels:
            known = ", ".join(self.structures.labels)
            raise DataError(
                f"{self.place}: expected one of the label methods {known}, which data.labels declares, got {method!r}."
                f"{nearest(method, self.structures.labels)}"
            )

    def _labelled(self, labelled: LabelledSet, members: Indices) -> Indices:
        """Return those of a subset's training structures that carry a set's labels.

        Raises:
            DataError: none does.
        """
        self.require_method(labelled.labels)
        kept = members[self.structures.usable(labelled.labels)[members]]
        if not len(kept):
            raise DataError(
                f"{self.place}: {shown(labelled)}: none of its {len(members)} structures carries {labelled.labels}: "
                "`mfsweep data add` gives structures the labels of another data set"
            )
        return kept

    def _require_labels(self, method: str, subset: str, members: Indices, place: str) -> None:
        self.require_method(method)
        missing = members[~self.structures.usable(method)[members]]
        if len(missing):
            what = "energy and forces" if self.structures.labels[method].forces is not None else "energy"
            raise DataError(
                f"{self.place}: {place}: {len(missing)} of {len(members)} structures have no {method} {what} "
                f"(NaN), the first is {self.structures.describe(int(missing[0]))}. "
                f"Let data.splits.{subset}.needs name {' and '.join(parts(method, self.derived))}"
            )

    @contextmanager
    def named(self, place: str = "") -> Iterator[None]:
        """Put the files' names in front of an error of the pure functions, which know arrays only."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.place}: {place}{error}") from error


def shown(labelled: LabelledSet) -> str:
    """Return a labelled set as messages name it."""
    return f"the set ({labelled.labels}; {labelled.subset}; {labelled.extent})"


def open_view(paths: Mapping[str, Path], data: ResolvedData, edges: Path | None = None) -> DataView:
    """Return the view of some files and what a training says of them; kept in this process.

    Where the files lie is no part of `data`: the caller vouches for their content (source.verify_data).

    Args:
        paths: name of the source -> its file; that of a single one is empty.
        data: labels and splits.
        edges: folder in which neighbours are kept for other processes; None: each computes its own.

    Raises:
        DataError: a file cannot be read, or lacks a key.
    """
    files = tuple(SourceFile.of(name, path) for name, path in sorted(paths.items()))
    labels = canonical({method: keys.identity() for method, keys in data.labels.items()})
    return _views(files, labels, edges)(data.model_dump_json())


@functools.lru_cache(maxsize=2)
def _views(files: tuple[SourceFile, ...], labels_json: str, edges: Path | None) -> Callable[[str], DataView]:
    """Return what makes the views of some files, of data as JSON; a source that is let go takes its views along."""
    labels = {method: LabelKeys.model_validate(keys) for method, keys in json.loads(labels_json).items()}
    source = ViewSource({file.name: file.path for file in files}, labels, edges)
    return functools.lru_cache(maxsize=16)(lambda data: DataView(source, ResolvedData.model_validate_json(data)))
