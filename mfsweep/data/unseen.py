"""The guard of docs/fairness.md#rule-4: the labels that a test is scored against enter no training.

The plan refuses what names can tell. Here the structures themselves are compared, so that the rule holds whatever led
to them: ranges, several sources, subsets with other names than `t`, labels made of others, energy offsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.derived import donors, made_of
from mfsweep.data.view import DataView, shown
from mfsweep.errors import DataError
from mfsweep.spec.data import Shuffled, SubsetName
from mfsweep.spec.stage import Evaluation, Training

Indices = NDArray[np.int64]


class _Held(NamedTuple):
    """What a test is scored against."""

    evaluation: Evaluation
    methods: set[str]
    """The target, and every method into which it enters."""
    flags: NDArray[np.bool_]
    """(S,) whether a structure is scored."""


class _Seen(NamedTuple):
    """Labels that a training looks at."""

    place: str
    method: str
    members: Indices
    """Whose labels these are: of shuffled ones, those who get them and those who give them."""


def require_unseen(
    view: DataView, trainings: Sequence[Training], evaluations: Sequence[tuple[Training, Evaluation]]
) -> None:
    """Refuse trainings that see labels on which any of the evaluations scores a test.

    Args:
        view: the structures and their partition.
        trainings: stages.
        evaluations: stages and what they are scored on.

    Raises:
        DataError: a labelled set, validation set or fit set of energy offsets with such labels.
    """
    tests = {(own.labels, own.subset): own for _, own in evaluations if own.part == "test"}
    held = [_held(view, own) for own in tests.values()]
    if not held:
        return
    for training in trainings:
        for seen in _seen(view, training):
            _refuse(view, seen, held)
    for training, own in evaluations:
        _refuse(view, _fitted(view, own.offsets or own.labels, training), held)


def _held(view: DataView, evaluation: Evaluation) -> _Held:
    target = evaluation.labels
    # A difference gives away its target wherever the other part is known; the other part alone gives nothing away.
    own = {target, view.derived[target].methods[0]} if target in view.derived else {target}
    flags = np.zeros(len(view.structures.formula), np.bool_)
    flags[view.part(evaluation)] = True
    return _Held(evaluation, made_of(own, view.derived), flags)


def _seen(view: DataView, training: Training) -> Iterator[_Seen]:
    for labelled in training.sets:
        yield _looked_at(view, shown(labelled), labelled.labels, view.training(labelled))
    for method in training.methods:
        subsets: list[SubsetName] = sorted({own.subset for own in training.sets if own.labels == method})
        place = f"the validation set of {' and '.join(subsets)}"
        yield _looked_at(view, place, method, view.validation(method, subsets))
        yield _fitted(view, method, training)


def _fitted(view: DataView, method: str, training: Training) -> _Seen:
    if view.given(method) is not None:
        return _Seen("", method, np.empty(0, np.int64))
    members, name = view.fit_set(method, training.sets)
    return _looked_at(view, f"{name}, on which energy offsets are fitted,", method, members)


def _looked_at(view: DataView, place: str, method: str, members: Indices) -> _Seen:
    shuffle = view.derived.get(method)
    if isinstance(shuffle, Shuffled):
        takers, givers = donors(view.structures, shuffle, view.owners)
        members = np.union1d(members, givers[np.isin(takers, members)])
    return _Seen(place, method, members)


def _refuse(view: DataView, seen: _Seen, held: Sequence[_Held]) -> None:
    for own in held:
        leaked = seen.members[own.flags[seen.members]]
        if seen.method in own.methods and len(leaked):
            first = view.structures.describe(int(leaked[0]))
            raise DataError(
                f"{view.place}: {seen.place} brings {seen.method} labels of {len(leaked)} structures of "
                f"{own.evaluation.subset!r} into a training, and {own.evaluation.labels} is tested on them: the first "
                f"is {first}. Test labels touch nothing but the last number (docs/fairness.md#rule-4): test on a "
                "subset with which nothing is trained, validated or fitted"
            )
