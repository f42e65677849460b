"""Which structures of a data set may be labelled next for a stage, and which are labelled already.

Test structures stay out (docs/fairness.md#rule-4), with all that is kept together with them, and so do validation sets,
on which nothing trains. The partition is that of the stage, so the stage's data must be at hand: mostly they are the
data set itself, to which labels have come or will come.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mfsweep.data import dataset
from mfsweep.data.source import contents, verify_data
from mfsweep.data.splits import groups_of
from mfsweep.data.structures import Structures
from mfsweep.data.survey.duplicates import structure_hashes
from mfsweep.data.survey.opening import Opened, open_file
from mfsweep.data.view import DataView, open_view
from mfsweep.errors import DataError, StoreError, nearest
from mfsweep.prepare import Plan
from mfsweep.records import Record
from mfsweep.spec.data import INDICES, TEST_SUBSET, LabelKeys, ResolvedData, parts
from mfsweep.spec.stage import LabelledSet
from mfsweep.store import StageFolder, StoreFolder

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


class StructureSubset(NamedTuple):
    """Some structures of those of a file."""

    structures: Structures
    indices: Indices


class SelectionPool(NamedTuple):
    """What may be chosen, and what is known."""

    path: Path
    """The data set."""
    structures: Structures
    """Its structures, with every label that it has, the method's under the name that the user gave."""
    keys: LabelKeys | None
    """Keys of the method's labels in it; None: it has none yet."""
    candidates: Indices
    known: tuple[StructureSubset, ...]
    """Structures with the method's labels that may be trained on."""
    notes: tuple[str, ...]
    """What stayed out and why, in sentences."""


class PoolRequest(NamedTuple):
    """What is asked of a data set."""

    place: str
    """Its path, or `bundled:NAME`."""
    method: str
    among: bool
    """Whether what is labelled already, but not trained on, is chosen from."""


def trained(store: StoreFolder, folder: StageFolder) -> Record:
    """Return the record of a stage.

    Raises:
        StoreError: it is not trained to its end.
    """
    record = folder.record()
    if record is None:
        raise StoreError(f"the stage {folder.key} of {store.root} is not trained to its end: run its spec first")
    return record


def ground(wanted: PoolRequest, store: StoreFolder, folder: StageFolder, plan: Plan | None) -> SelectionPool:
    """Return which structures of a data set may be chosen for a stage.

    Args:
        wanted: the data set and the method.
        store: that of the stage.
        folder: the stage.
        plan: of the spec that the stage is of, where the data set is not the stage's own data; None: not given.

    Raises:
        DataError: no such data set or method, or nothing is left to choose.
        StoreError: the stage is not trained, or what it was trained on is not at hand.
    """
    record = trained(store, folder)
    data = data_of(record)
    opened = open_file(wanted.place)
    keys = _keys(wanted.method, opened, data)
    files = _files(opened, data, store, plan)
    if files is None:
        raise StoreError(
            f"{opened.path} is not what the stage {folder.key} was trained on, or its labels have changed since: which "
            "structures are test ones cannot be told. Expected --spec with the spec of the stage"
        )
    view = open_view(files, data)
    structures = _with(opened, wanted.method, keys)
    labelled = np.zeros(len(structures.sizes), np.bool_) if keys is None else structures.usable(wanted.method)
    there = _there(view, _tests(store, record), _learned(store, record, wanted.method, view))
    hashes = structure_hashes(structures)
    more: tuple[StructureSubset, ...] = ()
    if len(view.hashes) != len(hashes) or (view.hashes != hashes).any():
        more = (StructureSubset(view.structures, np.flatnonzero(there.learned)),)
        there = _elsewhere(view, there, structures, hashes)
    bought = there.learned if wanted.among else there.learned | (labelled & there.inside)
    known = (*more, StructureSubset(structures, np.flatnonzero(bought & ~there.learned if more else bought)))
    free = (labelled if wanted.among else ~labelled) & ~there.learned & ~there.tested & ~there.held
    candidates, notes = _left(free, there)
    if not len(candidates):
        raise DataError(_nothing(opened.path, wanted, labelled))
    return SelectionPool(opened.path, structures, keys, candidates, known, tuple(notes))


def _left(free: Mask, there: _Parts) -> tuple[Indices, list[str]]:
    """Return the candidates, and in sentences what stayed out."""
    tested, held = np.count_nonzero(there.tested), np.count_nonzero(there.held & ~there.tested)
    notes = [
        f"{tested:,} structures stay out, of the test set or kept together with it, and {held:,} of validation sets"
    ]
    if not (free & there.inside).any():
        anew = "a spec that trains on it has other splits, and trains all of its stages anew"
        return np.flatnonzero(free), [*notes, f"what is left is in no subset of the stage's split: {anew}"]
    if outside := np.count_nonzero(free & ~there.inside):
        notes.append(f"{outside:,} more stay out that are in no subset of the stage's split")
    return np.flatnonzero(free & there.inside), notes


def data_of(record: Record) -> ResolvedData:
    """Return what of the data determined a stage.

    Raises:
        StoreError: the record is of a version that said it otherwise.
    """
    try:
        return ResolvedData.model_validate(record.training["data"])
    except ValidationError as error:
        raise StoreError(f"the stage {record.key} was trained by another version, whose data it cannot tell") from error


def _sets(record: Record) -> list[LabelledSet]:
    return [LabelledSet.model_validate(own) for own in record.training["sets"]]


def head_of(record: Record, method: str) -> str | None:
    """Return the readout head of a stage that learned a method's labels, or its only one; None: it has several."""
    derived = data_of(record).derived or {}
    named = [own.trains for own in _sets(record) if method in parts(own.labels, derived)]
    heads = [head for head in named if head in record.heads] or list(record.heads)
    return heads[0] if named or len(heads) == 1 else None


def _keys(method: str, opened: Opened, data: ResolvedData) -> LabelKeys | None:
    """Return the keys of a method's labels in a file: as the stage names it, else as the file does.

    Raises:
        DataError: neither knows it.
    """
    there = {key for own in opened.labels.values() for key in (own.energy, own.forces)} | set(opened.other_keys)
    if method in data.labels and data.labels[method].energy in there:
        return data.labels[method].but(source=None)
    if method in opened.labels:
        return opened.labels[method]
    if method in data.labels:
        return None
    known = [*data.labels, *(name for name in opened.labels if name not in data.labels)]
    raise DataError(
        f"--method {method}: expected a label method of the stage or of {opened.path} ({', '.join(known)})."
        f"{nearest(method, known)}"
    )


def _with(opened: Opened, method: str, keys: LabelKeys | None) -> Structures:
    """Return the structures with a method's labels under the user's name for it."""
    structures = opened.structures
    name = next((name for name, own in opened.labels.items() if keys is not None and own.energy == keys.energy), None)
    if name is None or keys is None:
        return structures
    labels = structures.labels[name] if keys.forces else structures.labels[name]._replace(forces=None)
    return structures._replace(labels={**structures.labels, method: labels})


def _files(opened: Opened, data: ResolvedData, store: StoreFolder, plan: Plan | None) -> dict[str, Path] | None:
    """Return the files of the stage's data: the data set itself, or those of a spec; None where it is neither."""
    cache = store.digests if store.is_there else None
    if plan is not None:
        verify_data(plan.sources, data, cache)
        return dict(plan.sources)
    if data.splits.given == INDICES or not opened.path.is_file():
        return None
    found = contents({"": opened.path}, cache)
    same = found.digest == data.digest and found.of(data.labels) == data.contents
    return {"": opened.path} if same and found.of_column(data.splits.column) == data.column else None


class _Parts(NamedTuple):
    """Which structures are in which part of a stage's partition, (S,) each."""

    tested: Mask
    """Test ones, and what is kept together with them."""
    held: Mask
    """Those of validation sets."""
    inside: Mask
    """Those of the training part of a subset that is no test one."""
    learned: Mask
    """With labels of the method that the stage or its ancestors trained on."""


def _there(view: DataView, tests: set[str], learned: Indices) -> _Parts:
    """Return the parts of the stage's own data; `tests` are the subsets that are test ones."""
    partition, count = view.partition, len(view.structures.sizes)
    tested, held, inside, seen = (np.zeros(count, np.bool_) for _ in range(4))
    for name, members in partition.train.items():
        held[partition.validation[name]] = True
        if name in tests:
            tested[members] = tested[partition.validation[name]] = True
        else:
            inside[members] = True
    if view.data.splits.given is None:
        groups = groups_of(view.structures, view.data.splits.by).codes
        tested = np.isin(groups, np.unique(groups[tested]))
    seen[learned] = True
    return _Parts(tested, held, inside, seen)


def _tests(store: StoreFolder, record: Record) -> set[str]:
    """Return the subsets on which the stage is tested, or one that starts from it, however far down."""
    children: dict[str, list[Record]] = {}
    for folder in store.stages():
        if (own := folder.record()) is not None and own.parent is not None:
            children.setdefault(own.parent, []).append(own)
    found, left = {TEST_SUBSET}, [record]
    while left:
        own = left.pop()
        left += children.get(own.key, ())
        if own.training["data"]["splits"] == record.training["data"]["splits"]:
            scored = (one.evaluation for _, one in store.stage(own.key).every_evaluation())
            found |= {one["subset"] for one in scored if one["part"] == "test"}
    return found


def _elsewhere(view: DataView, there: _Parts, structures: Structures, hashes: NDArray[np.uint64]) -> _Parts:
    """Return the parts of other structures, by geometry, and by formula where that is what stays whole."""
    tested, held, learned = (np.isin(hashes, view.hashes[own]) for own in (there.tested, there.held, there.learned))
    if view.data.splits.by_formula:
        names = {view.structures.formulae[code] for code in set(view.structures.formula[there.tested].tolist())}
        tested |= np.array([name in names for name in structures.formulae], np.bool_)[structures.formula]
    return _Parts(tested, held, ~(tested | held), learned)


def _learned(store: StoreFolder, record: Record, method: str, view: DataView) -> Indices:
    """Return the structures whose labels of a method a stage or its ancestors trained on."""
    members = [np.empty(0, np.int64)]
    derived = view.derived
    at: Record | None = record
    while at is not None:
        names = {*view.data.labels, *derived}
        own = [one for one in _sets(at) if method in parts(one.labels, derived) and one.labels in names]
        members += [view.training(one) for one in own]
        at = store.stage(at.parent).record() if at.parent else None
    return np.unique(np.concatenate(members))


def _nothing(path: Path, wanted: PoolRequest, labelled: Mask) -> str:
    if labelled.all() and not wanted.among:
        return (
            f"{path}: every structure has {wanted.method} labels: nothing is left to label. --among chooses from those "
            "that the stage has not trained on"
        )
    what = f"with {wanted.method} labels that the stage has not trained on" if wanted.among else "without the label"
    return f"{path}: no structure {what} is left outside of test and validation sets"


def seconds_of(ground: SelectionPool) -> NDArray[np.float32] | None:
    """Return what each label of the method took, (S,) core-seconds, where `mfsweep data label` made them."""
    if ground.keys is None or not dataset.is_dataset(ground.path):
        return None
    made = dataset.labellings(ground.path).get(ground.keys.energy.removesuffix(".energy"))
    return None if made is None else made.seconds
