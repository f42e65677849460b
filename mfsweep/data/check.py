"""The E0 check: everything about data that would spoil a sweep, found before anything trains.

It goes over the labelled sets, validation sets and evaluations that the stages will use, and over nothing else: a
file may hold what no stage asks for. Of the structures of an evaluation it looks at geometries and at which labels
exist, never at a label's value (README rule 4).

A label method that is made of others is checked like any other, but for its unit: that is looked for in its parts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Dataset, shown
from mfsweep.data.derived import donors
from mfsweep.data.label_units import left_by_offsets, require_units
from mfsweep.data.rounding import float32_rounding
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.survey.balance import named_parts
from mfsweep.data.survey.duplicates import leaks, structure_hashes
from mfsweep.data.unseen import require_unseen
from mfsweep.errors import DataError
from mfsweep.quantities import count
from mfsweep.spec.data import TEST_SUBSET, Difference, Shuffled, SubsetName, parts
from mfsweep.spec.stage import Evaluation, LabelledSet, Training

Indices = NDArray[np.int64]


class _Use(NamedTuple):
    """Some structures with one method's labels, and what they are for."""

    place: str
    method: str
    members: Indices
    reference: str
    """Label method whose energy offsets are used with them."""
    sets: tuple[LabelledSet, ...]
    """Labelled sets of the training."""
    max_atoms: int


def check(
    dataset: Dataset,
    trainings: Sequence[Training],
    evaluations: Sequence[tuple[Training, Evaluation]],
) -> list[str]:
    """Check the data of a sweep.

    Args:
        dataset: the source and its partition.
        trainings: the stages that will train on it.
        evaluations: stages and what they are scored on.

    Returns:
        Warnings: what is allowed, but weakens a conclusion.

    Raises:
        DataError: an unknown subset or label method; a size above the subset's; missing labels; a subset with fewer
            than two formulae; no validation structures; a structure above the atom cap, charged or open-shell; an
            element without an energy offset; offsets that the fit set does not determine; labels that look like
            another unit; labels of a test that a stage would see.
    """
    distinct = _distinct(trainings)
    for training in distinct:
        for use in _training_uses(dataset, training):
            _require_sound(dataset, use)
        _require_under_edges(dataset, training)
    for use in _evaluation_uses(dataset, evaluations):
        _require_sound(dataset, use)
    require_unseen(dataset, distinct, evaluations)
    warnings: dict[str, None] = {}
    for training in distinct:
        for method in training.methods:
            for part in parts(method, dataset.derived):
                # as if the stage trained on the part itself
                alike = [own.but(labels=part) for own in training.sets if own.labels == method]
                warnings |= dict.fromkeys(require_units(dataset, part, alike))
                warnings |= dict.fromkeys(_rounded(dataset, part, alike))
            warnings |= dict.fromkeys(_weaknesses(dataset, method, training.sets))
    warnings |= dict.fromkeys(_leaks(dataset))
    return list(warnings)


def _data_of(training: Training) -> tuple[Hashable, ...]:
    """Return all of a training that matters to the data: many trainings of a sweep have it in common."""
    sets = tuple((own.labels, own.subset, own.size, own.range) for own in training.sets)
    return sets, training.recipe.batch.max_atoms, training.edge_cap


def _distinct(trainings: Sequence[Training]) -> list[Training]:
    return list({_data_of(training): training for training in trainings}.values())


def _training_uses(dataset: Dataset, training: Training) -> Iterator[_Use]:
    cap = training.recipe.batch.max_atoms
    for own in training.sets:
        yield _Use(shown(own), own.labels, dataset.training(own), own.labels, training.sets, cap)
    for method in training.methods:
        subsets: list[SubsetName] = sorted({own.subset for own in training.sets if own.labels == method})
        members = dataset.validation(method, subsets)
        names = " and ".join(subsets)
        if not len(members):
            raise DataError(
                f"{dataset.place}: {method} is trained on {names}, which has no validation structures with its labels: "
                f"schedule, stop and best checkpoint need some. Set data.splits.{subsets[0]}.validation, and let needs "
                f"name {method}"
            )
        yield _Use(f"the validation set of {names}", method, members, method, training.sets, cap)


def _evaluation_uses(dataset: Dataset, evaluations: Sequence[tuple[Training, Evaluation]]) -> Iterator[_Use]:
    distinct = {
        (_data_of(training), own.labels, own.subset, own.part, own.offsets, own.base): (training, own)
        for training, own in evaluations
    }
    for training, own in distinct.values():
        yield _Use(
            f"the {own.part} structures of {own.subset}",
            own.labels,
            dataset.part(own, training.sets),
            own.offsets or own.labels,
            training.sets,
            training.recipe.batch.max_atoms,
        )


def _require_sound(dataset: Dataset, use: _Use) -> None:
    _require_closed_shell(dataset, use)
    _require_under_cap(dataset, use)
    _require_offsets(dataset, use)


def _require_closed_shell(dataset: Dataset, use: _Use) -> None:
    structures = dataset.structures
    if structures.charge is not None:
        charged = use.members[structures.charge[use.members] != 0]
        if len(charged):
            first = int(charged[0])
            raise DataError(
                f"{dataset.place}: {use.place}: expected neutral structures, got {len(charged)} charged ones: "
                f"{structures.describe(first)} has charge {structures.charge[first]:+d}. The models know no charge: "
                "leave these structures out of the file"
            )
    electrons = structures.counts(use.members, dataset.elements) @ np.array(dataset.elements)
    odd = electrons % 2 == 1
    if structures.pbc is not None:  # the electrons of a cell say nothing of the shells of a crystal
        odd &= ~structures.pbc[use.members].any(axis=1)
    odd = use.members[odd]
    if len(odd):
        raise DataError(
            f"{dataset.place}: {use.place}: expected closed shells, got {len(odd)} structures with an odd number of "
            f"electrons, the first is {structures.describe(int(odd[0]))}. Radicals and ions are not on the "
            "surface that the others share: leave these structures out of the file"
        )


def _require_under_cap(dataset: Dataset, use: _Use) -> None:
    sizes = dataset.structures.sizes[use.members]
    above = use.members[sizes > use.max_atoms]
    if len(above):
        raise DataError(
            f"{dataset.place}: {use.place}: expected at most {use.max_atoms} atoms in a structure (batch.max_atoms), "
            f"got {sizes.max()}: {len(above)} are above, the first is {dataset.structures.describe(int(above[0]))}. "
            "Raise batch.max_atoms, or leave these structures out of the file"
        )


def _require_under_edges(dataset: Dataset, training: Training) -> None:
    if training.edge_cap is None:
        return
    cap, cutoff = training.edge_cap
    edges = np.diff(dataset.edges(cutoff).offsets)
    for own in training.sets:
        members = dataset.training(own)
        above = members[edges[members] > cap]
        if len(above):
            raise DataError(
                f"{dataset.place}: {shown(own)}: expected at most {cap} edges in a structure (batch.max_edges), got "
                f"{edges[members].max()} within {cutoff:g} angstrom: {len(above)} are above, the first is "
                f"{dataset.structures.describe(int(above[0]))}. Raise batch.max_edges, or leave these structures out "
                "of the file"
            )


def _require_offsets(dataset: Dataset, use: _Use) -> None:
    structures = dataset.structures
    offsets = dataset.offsets(use.reference, use.sets)
    for z in structures.elements_of(use.members):
        if z not in offsets:
            fitted, name = dataset.fit_set(use.reference, use.sets)
            first = np.argmax(structures.counts(use.members, [z])[:, 0] > 0)
            example = structures.describe(int(use.members[first]))
            raise DataError(
                f"{dataset.place}: {use.place}: {SYMBOLS[z]} (in {example}) has no energy offset of {use.reference}: "
                f"the {len(fitted)} structures of {name}, on which the offsets are fitted, hold only "
                f"{', '.join(SYMBOLS[e] for e in sorted(offsets))}. Enlarge that set until it has {SYMBOLS[z]}, "
                "take another split seed, or leave these structures out of the file"
            )


def _leaks(dataset: Dataset) -> Iterator[str]:
    """Yield which parts share geometries. Copies have one formula, so a partition by formula cannot part them."""
    column = dataset.data.splits.column
    if column is None:
        return
    structures = dataset.structures
    for leak in leaks(structure_hashes(structures), named_parts(dataset.partition)):
        one, other = leak.parts
        first = f"{structures.describe(int(leak.pairs.first[0]))} and {structures.describe(int(leak.pairs.other[0]))}"
        yield (
            f"{count(len(leak.pairs.other), 'structure')} of {other} with the same geometry as one of {one}, the first "
            f"are {first}: split by {column}, copies are not kept together"
        )


def _rounded(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Yield that the energies which a training learns were rounded on their way here."""
    members = np.unique(np.concatenate([dataset.training(own) for own in sets]))
    structures = dataset.structures
    if found := float32_rounding(structures.labels[method].energy[members], structures.sizes[members]):
        yield f"the {method} {found.sentence} ({structures.describe(int(members[found.first]))} most)"


def _unshuffled(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Yield which labelled sets of a shuffled method have structures that could change places with no other."""
    shuffle = dataset.derived.get(method)
    if not isinstance(shuffle, Shuffled):
        return
    takers, givers = donors(dataset.structures, shuffle, dataset.owners)
    alone = takers[takers == givers]
    for labelled in sets:
        if kept := int(np.isin(dataset.training(labelled), alone).sum()):
            yield (
                f"{count(kept, 'structure')} of {shown(labelled)} with their own labels: they are the only ones of "
                "their formula in their part, within which labels are shuffled"
            )


def _weaknesses(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    structures = dataset.structures
    own = [labelled for labelled in sets if labelled.labels == method]
    subsets: list[SubsetName] = sorted({labelled.subset for labelled in own})
    held = dataset.validation(method, subsets)
    if len(np.unique(structures.formula[held])) < 2:
        yield (
            f"the validation set of {method} ({' and '.join(subsets)}) has one formula, "
            f"{structures.formulae[structures.formula[held[0]]]}: its error says little of others"
        )
    for labelled in own:
        members = dataset.training(labelled)
        if len(np.unique(structures.formula[members])) < 2:
            yield f"{shown(labelled)} has structures of one formula only"
    yield from _unshuffled(dataset, method, own)
    fitted, name = dataset.fit_set(method, sets)
    if dataset.data.offsets == "fixed" and "a" in dataset.partition.train:
        a = dataset.partition.train["a"]
        if not np.isin(fitted, a).all():
            yield f"{method} has no labels in the training part of a: its energy offsets are fitted on {name}"
        elif len(fitted) < len(a):
            yield f"{len(fitted)} of {len(a)} training structures of a carry {method}: its offsets are fitted on these"
    difference = dataset.derived.get(method)
    if isinstance(difference, Difference):
        spread = 1000 * left_by_offsets(dataset, method, own)[1].std()
        alike = [labelled.but(labels=difference.target) for labelled in own]
        plain = 1000 * left_by_offsets(dataset, difference.target, alike)[1].std()
        if spread > plain:
            yield (
                f"{method} spreads by {spread:.3g} meV/atom after its energy offsets, and {difference.target} itself "
                f"by {plain:.3g}: what is left to learn is no smaller for having {difference.minus} taken off"
            )
    if TEST_SUBSET in subsets:
        yield f"{method} is trained on the test structures themselves (with its own labels, never the target's)"
