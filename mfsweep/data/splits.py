"""The partition of the structures by chemical formula, and the one order in which each subset's sizes nest.

A formula's place in the queue is the sha256 of seed and formula, a structure's place in its subset's order a hash of
(seed, subset, formula, rank): no state, no random generator whose stream a library may change, no dependence on the
order of the file or on what other formulae there are. Only *whether* a label exists is looked at, never its value.

Subsets are drawn in alphabetical order, `rest` last. Each takes, in queue order, the formulae that have structures
with every label it `needs`: first for its validation set, then for training. A formula has one owner; what a
straddling formula has too much goes nowhere (README rule 3).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import Splits, Subset, SubsetName

FEWEST_FORMULAE = 2
"""Of a training part: with one formula neither offsets nor a split by formula mean anything."""

Indices = NDArray[np.int64]


class Partition(NamedTuple):
    """Structure indices of each declared subset."""

    train: dict[SubsetName, Indices]
    """(n,) in prefix order: the first k are the subset's training set of size k."""
    validation: dict[SubsetName, Indices]
    """(n,) ascending."""


def partition(structures: Structures, splits: Splits) -> Partition:
    """Share out the formulae.

    Raises:
        DataError: a subset cannot be filled, has fewer than two formulae to train on, or needs unknown labels.
    """
    queue = _formula_queue(structures, splits.seed)
    free = np.ones(len(structures.formulae), np.bool_)
    train: dict[SubsetName, Indices] = {}
    validation: dict[SubsetName, Indices] = {}
    subsets = splits.subsets()
    for name in sorted(subsets, key=lambda name: (subsets[name].size == "rest", name)):
        subset = subsets[name]
        members = _by_formula(structures, _eligible(structures, name, subset) & free[structures.formula])
        order = _order_keys(structures, splits.seed, name)
        waiting = [formula for formula in queue if formula in members]
        held, used = _take(members, waiting, subset.validation, order)
        size = None if subset.size == "rest" else subset.size
        kept, trained = _take(members, waiting[used:], size, order)
        _require_filled(structures, name, subset, members, len(held), kept)
        free[waiting[: used + trained]] = False
        validation[name] = np.sort(held)
        train[name] = kept[np.argsort(order[kept], kind="stable")]
    return Partition({name: train[name] for name in subsets}, {name: validation[name] for name in subsets})


def _formula_queue(structures: Structures, seed: int) -> list[int]:
    names = structures.formulae
    return sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}:{names[i]}".encode()).digest())


def _order_keys(structures: Structures, seed: int, subset: str) -> NDArray[np.uint64]:
    """Return a 64-bit hash of (seed, subset, formula, rank) for every structure, (S,)."""
    digests = (hashlib.sha256(f"{seed}:{subset}:{formula}".encode()).digest() for formula in structures.formulae)
    base = np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
    # splitmix64 (Steele, Lea, Flood 2014) of each rank from its formula's digest: one pass over the array instead of
    # a sha256 per structure, which would cost a second at ANI-1x's size.
    z = base[structures.formula] + (structures.rank.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _eligible(structures: Structures, name: str, subset: Subset) -> NDArray[np.bool_]:
    assert subset.needs is not None, "the spec's loader fills in every subset's needs"
    eligible = np.ones(len(structures.formula), np.bool_)
    for method in subset.needs:
        if method not in structures.labels:
            raise DataError(
                f"data.splits.{name}.needs: no label method {method!r} in data.labels."
                f"{nearest(method, structures.labels)}"
            )
        eligible &= structures.usable(method)
    return eligible


def _by_formula(structures: Structures, eligible: NDArray[np.bool_]) -> dict[int, Indices]:
    """Return formula -> its eligible structures; formulae without any are absent."""
    indices = np.flatnonzero(eligible)
    indices = indices[np.argsort(structures.formula[indices], kind="stable")]
    owners, starts = np.unique(structures.formula[indices], return_index=True)
    return dict(zip(owners.tolist(), np.split(indices, starts[1:]), strict=True)) if len(owners) else {}


def _take(
    members: dict[int, Indices], waiting: list[int], size: int | None, order: NDArray[np.uint64]
) -> tuple[Indices, int]:
    """Take whole formulae until `size` structures are there (None: all); return just those, and the formulae used."""
    taken: list[Indices] = [np.empty(0, np.int64)]
    count = used = 0
    for formula in waiting:
        if size is not None and count >= size:
            break
        own = members[formula]
        room = len(own) if size is None else min(len(own), size - count)
        taken.append(own[np.argsort(order[own], kind="stable")][:room])
        count += room
        used += 1
    return np.concatenate(taken), used


def _require_filled(
    structures: Structures,
    name: str,
    subset: Subset,
    members: dict[int, Indices],
    held: int,
    kept: Indices,
) -> None:
    needs = ", ".join(subset.needs or ()) or "no labels"
    available = sum(map(len, members.values()))
    left = f"{available} structures of {len(members)} formulae that carry what it needs ({needs}) are left for it"
    wanted = f"{subset.validation} validation and {subset.size} training structures"
    if held < subset.validation or (subset.size != "rest" and len(kept) < subset.size):
        raise DataError(
            f"data.splits.{name} asks for {wanted}, and its validation set keeps formulae of its own; {left}: "
            f"this gave {held} and {len(kept)}. Lower size or validation here or in the subsets drawn before it, "
            "or need fewer labels"
        )
    formulae = len(np.unique(structures.formula[kept]))
    if formulae < FEWEST_FORMULAE:
        raise DataError(
            f"data.splits.{name}: expected at least {FEWEST_FORMULAE} formulae in the training part, got {formulae} "
            f"({len(kept)} structures); {left}. Raise its size, lower its validation, need fewer labels, "
            "or take another split seed"
        )
