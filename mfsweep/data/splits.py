"""The partition of the structures by chemical formula, and the one order in which each subset's sizes nest.

In place of the formula the groups that stay whole may be the values of a text column, or each structure with its copies
(`splits.by`): what is said here of formulae then holds for these. Or there is no draw, and a column says who is where
(`splits.given`). Isolated atoms are in no part.

A formula's place in the queue is the sha256 of seed and formula, a structure's place in its subset's order a hash of
(seed, subset, source, formula, rank): no state, no random generator whose stream a library may change, no dependence
on the order of the file or on what other formulae there are. Only *whether* a label exists is looked at, never its
value.

Subsets of one source are drawn first, then the others; in alphabetical order, `rest` last. Each takes, in queue order,
the formulae that have structures with every label it `needs`: first for its validation set, then for training. A
formula has one owner; what a straddling formula has too much goes nowhere (docs/fairness.md#rule-3), and neither does
what the other sources hold of a formula that a subset of one source has taken. So a structure that stands in two
sources is in one part of one subset only.

With `splits.folds` the formulae that have test structures are dealt out to K folds in queue order: the test subset is
drawn from its fold's alone, every other one from the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.lone import isolated
from mfsweep.data.order import order_keys
from mfsweep.data.structures import Column, Structures
from mfsweep.data.survey.duplicates import structure_hashes
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import BY_FORMULA, BY_STRUCTURE, TEST_SUBSET, Derived, Splits, Subset, SubsetName, parts

FEW = 3
"""Groups, from which on they are too few for a message to leave it at that."""
Indices = NDArray[np.int64]


class Partition(NamedTuple):
    """Structure indices of each declared subset."""

    train: dict[SubsetName, Indices]
    """(n,) in prefix order: the first k are the subset's training set of size k."""
    validation: dict[SubsetName, Indices]
    """(n,) ascending."""
    owners: NDArray[np.int16]
    """(S,) part that owns each structure's group, training or validation of some subset; -1: none. A structure of an
    owned group is in no other part, though it may be in none: what a straddling group has too much goes nowhere."""


def partition(structures: Structures, splits: Splits, derived: Mapping[str, Derived] = {}) -> Partition:
    """Share out the formulae, or the groups that `splits.by` names.

    Args:
        structures: with the labels that the subsets need.
        splits: with every subset's `needs` filled in.
        derived: the label methods that are made of others; to need one is to need those.

    Raises:
        DataError: a subset cannot be filled, or needs unknown labels or an unknown source; the structures have no such
            column.
    """
    if splits.given is not None:
        return _given(structures, splits, derived)
    groups = groups_of(structures, splits.by)
    queue = _queue(groups.values, splits.seed)
    free = np.ones(len(groups.values), np.bool_)
    train: dict[SubsetName, Indices] = {}
    validation: dict[SubsetName, Indices] = {}
    owners = np.full(len(groups.values), -1, np.int16)
    subsets = splits.subsets()
    of_fold = _of_fold(groups, queue, structures, splits, derived)
    for number, name in enumerate(
        sorted(subsets, key=lambda name: (subsets[name].source is None, subsets[name].size == "rest", name))
    ):
        subset = subsets[name]
        members = _by_group(groups, _eligible(structures, name, subset, derived) & free[groups.codes])
        if of_fold is not None:
            members = {group: own for group, own in members.items() if (group in of_fold) == (name == TEST_SUBSET)}
        order = order_keys(structures, f"{splits.seed}:{name}")
        waiting = [group for group in queue if group in members]
        held, used = _take(members, waiting, subset.validation, order)
        size = None if subset.size == "rest" else subset.size
        kept, trained = _take(members, waiting[used:], size, order)
        _require_filled(splits, name, subset, members, len(held), kept)
        free[waiting[: used + trained]] = False
        owners[waiting[:used]] = 2 * number
        owners[waiting[used : used + trained]] = 2 * number + 1
        validation[name] = np.sort(held)
        train[name] = kept[np.argsort(order[kept], kind="stable")]
    return Partition(
        train={name: train[name] for name in subsets},
        validation={name: validation[name] for name in subsets},
        owners=owners[groups.codes],
    )


def _of_fold(
    groups: Column, queue: Sequence[int], structures: Structures, splits: Splits, derived: Mapping[str, Derived]
) -> set[int] | None:
    """Return the groups of the fold that is tested on, None where there are no folds.

    The groups that have a structure for the test subset are dealt out to the folds in queue order.
    """
    if splits.folds is None or not isinstance(splits.fold, int):
        return None
    assert splits.t is not None
    members = _by_group(groups, _eligible(structures, TEST_SUBSET, splits.t, derived))
    return {
        group for place, group in enumerate(g for g in queue if g in members) if place % splits.folds == splits.fold
    }


def groups_of(structures: Structures, by: str | None) -> Column:
    """Return the groups that a partition keeps whole: formulae (None), structures, or the values of a text column.

    Structures of the same geometry are one. Structures without a text in a column, if any, are one group.

    Raises:
        DataError: there is no such column.
    """
    if by in (None, BY_FORMULA):
        return Column(structures.formula, structures.formulae)
    if by == BY_STRUCTURE:
        hashes, codes = np.unique(structure_hashes(structures), return_inverse=True)
        return Column(codes.reshape(-1).astype(np.int32), tuple(f"{own:016x}" for own in hashes.tolist()))
    return _column(structures, str(by), "data.splits.by", f"{BY_FORMULA}, {BY_STRUCTURE} or a text column of the data")


def _column(structures: Structures, name: str, place: str, expected: str) -> Column:
    if name not in structures.columns:
        known = ", ".join(sorted(structures.columns))
        there = f"There are {known}" if known else "There are none: `mfsweep data import` makes a data set with some"
        near = nearest(name, [BY_FORMULA, BY_STRUCTURE, *structures.columns])
        raise DataError(f"{place}: expected {expected}, got {name!r}.{near} {there}")
    return structures.columns[name]


def _given(structures: Structures, splits: Splits, derived: Mapping[str, Derived]) -> Partition:
    """Return the partition that a column says.

    Raises:
        DataError: no such column, a part that no structure is in, or one that is smaller than its size.
    """
    assert splits.given is not None
    column = _column(structures, splits.given, "data.splits.given", "a text column of the data, or a JSON file")
    train: dict[SubsetName, Indices] = {}
    validation: dict[SubsetName, Indices] = {}
    for name, subset in splits.subsets().items():
        eligible = _eligible(structures, name, subset, derived)
        order = order_keys(structures, f"{splits.seed}:{name}")
        own = _named(column, eligible, subset.given or name)
        own = own[np.argsort(order[own], kind="stable")]
        held = _named(column, eligible, subset.given_validation or f"{name} validation")
        if subset.given_validation is None and not len(held):
            held, own = own[: subset.validation], own[subset.validation :]
        size = len(own) if subset.size == "rest" else subset.size
        if not len(own) or size > len(own) or len(held) < subset.validation:
            known = ", ".join(f"{value} ({number})" for value, number in _counts(column))
            raise DataError(
                f"data.splits.{name} asks for {subset.validation} validation and {subset.size} training structures; "
                f"of {subset.given or name!r} there are {len(held)} and {len(own)} with what it needs "
                f"({', '.join(subset.needs or ()) or 'no labels'}). The parts given are {known}"
            )
        train[name], validation[name] = own[:size], np.sort(held)
    owners = np.full(len(column.codes), -1, np.int16)
    for number, members in enumerate(part[name] for name in train for part in (validation, train)):
        owners[members] = number
    return Partition(train, validation, owners)


def _named(column: Column, eligible: NDArray[np.bool_], value: str) -> Indices:
    if value not in column.values:
        return np.empty(0, np.int64)
    return np.flatnonzero(eligible & (column.codes == column.values.index(value)))


def _counts(column: Column) -> list[tuple[str, int]]:
    numbers = np.bincount(column.codes, minlength=len(column.values)).tolist()
    return [(repr(value), number) for value, number in zip(column.values, numbers, strict=True) if number][:12]


def _queue(names: Sequence[str], seed: int) -> list[int]:
    return sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}:{names[i]}".encode()).digest())


def _eligible(structures: Structures, name: str, subset: Subset, derived: Mapping[str, Derived]) -> NDArray[np.bool_]:
    assert subset.needs is not None, "the spec's loader fills in every subset's needs"
    eligible = ~isolated(structures.sizes, structures.cell, structures.pbc)
    if subset.source is not None:
        if subset.source not in structures.sources:
            known = ", ".join(filter(None, structures.sources)) or "none: data.source names one file"
            raise DataError(
                f"data.splits.{name}.source: expected one of data.sources ({known}), got {subset.source!r}."
                f"{nearest(subset.source, structures.sources)}"
            )
        if structures.source is not None:
            eligible = structures.source == structures.sources.index(subset.source)
    for method in sorted({part for needed in subset.needs for part in parts(needed, derived)}):
        if method not in structures.labels:
            raise DataError(
                f"data.splits.{name}.needs: no label method {method!r} in data.labels."
                f"{nearest(method, structures.labels)}"
            )
        eligible &= structures.usable(method)
    return eligible


def _by_group(groups: Column, eligible: NDArray[np.bool_]) -> dict[int, Indices]:
    """Return group -> its eligible structures; groups without any are absent."""
    indices = np.flatnonzero(eligible)
    indices = indices[np.argsort(groups.codes[indices], kind="stable")]
    owners, starts = np.unique(groups.codes[indices], return_index=True)
    return dict(zip(owners.tolist(), np.split(indices, starts[1:]), strict=True)) if len(owners) else {}


def _take(
    members: dict[int, Indices], waiting: list[int], size: int | None, order: NDArray[np.uint64]
) -> tuple[Indices, int]:
    """Take whole groups until `size` structures are there (None: all); return just those, and the groups used."""
    taken: list[Indices] = [np.empty(0, np.int64)]
    count = used = 0
    for group in waiting:
        if size is not None and count >= size:
            break
        own = members[group]
        room = len(own) if size is None else min(len(own), size - count)
        taken.append(own[np.argsort(order[own], kind="stable")][:room])
        count += room
        used += 1
    return np.concatenate(taken), used


def _require_filled(
    splits: Splits, name: str, subset: Subset, members: dict[int, Indices], held: int, kept: Indices
) -> None:
    needs = ", ".join(subset.needs or ()) or "no labels"
    available, groups = sum(map(len, members.values())), splits.groups
    if held < subset.validation or (subset.size != "rest" and len(kept) < subset.size) or not len(kept):
        few = f". Of so few {groups}, `by: {BY_STRUCTURE}` shares out the structures" if len(members) < FEW else ""
        raise DataError(
            f"data.splits.{name} asks for {subset.validation} validation and {subset.size} training structures, and "
            f"its validation set keeps {groups} of its own; {available} structures of {len(members)} {groups} that "
            f"carry what it needs ({needs}) are left for it: this gave {held} and {len(kept)}. Lower size or "
            f"validation here or in the subsets drawn before it, or need fewer labels{few}"
        )
