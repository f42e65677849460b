"""What stages use of the data: which structures, with which labels, for what."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.view import DataView, shown
from mfsweep.errors import DataError
from mfsweep.spec.data import SubsetName
from mfsweep.spec.stage import Evaluation, LabelledSet, Training

Indices = NDArray[np.int64]


class Use(NamedTuple):
    """Some structures with one method's labels, and what they are for."""

    place: str
    method: str
    members: Indices
    reference: str
    """Label method whose energy offsets are used with them."""
    sets: tuple[LabelledSet, ...]
    """Labelled sets of the training."""
    max_atoms: int


def _data_of(training: Training) -> tuple[Hashable, ...]:
    """Return all of a training that matters to the data: many trainings of a sweep have it in common."""
    sets = tuple((own.labels, own.subset, own.size, own.range) for own in training.sets)
    return sets, training.recipe.batch.max_atoms, training.edge_cap


def distinct(trainings: Sequence[Training]) -> list[Training]:
    """Return trainings, of those that ask for the same data one."""
    return list({_data_of(training): training for training in trainings}.values())


def training_uses(view: DataView, training: Training) -> Iterator[Use]:
    """Yield the labelled sets and validation sets of a training.

    Raises:
        DataError: there are no such structures, or none to validate on.
    """
    cap = training.recipe.batch.max_atoms
    for own in training.sets:
        yield Use(shown(own), own.labels, view.training(own), own.labels, training.sets, cap)
    for method in training.methods:
        subsets: list[SubsetName] = sorted({own.subset for own in training.sets if own.labels == method})
        members = view.validation(method, subsets)
        names = " and ".join(subsets)
        if not len(members):
            raise DataError(
                f"{view.place}: {method} is trained on {names}, which has no validation structures with its labels: "
                f"schedule, stop and best checkpoint need some. Set data.splits.{subsets[0]}.validation, and let needs "
                f"name {method}"
            )
        yield Use(f"the validation set of {names}", method, members, method, training.sets, cap)


def evaluation_uses(view: DataView, evaluations: Sequence[tuple[Training, Evaluation]]) -> Iterator[Use]:
    """Yield what evaluations score on, those that ask for the same once.

    Raises:
        DataError: there are no such structures.
    """
    several = {
        (_data_of(training), own.labels, own.subset, own.part, own.offsets, own.base): (training, own)
        for training, own in evaluations
    }
    for training, own in several.values():
        yield Use(
            f"the {own.part} structures of {own.subset}",
            own.labels,
            view.part(own, training.sets),
            own.offsets or own.labels,
            training.sets,
            training.recipe.batch.max_atoms,
        )
