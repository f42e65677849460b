"""The E0 check: everything about data that would spoil a sweep, found before anything trains.

It goes over the labelled sets, validation sets and evaluations that the stages will use, and over nothing else but to
tell units: a file may hold what no stage asks for. Of the structures of an evaluation it looks at geometries and at
which labels exist, never at a label's value (docs/fairness.md#rule-4).

A label method that is made of others is checked like any other, but judged (judged.py) by its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.derived import donors
from mfsweep.data.judged import conflicting, judge_labels, judge_structures
from mfsweep.data.reference import freedom
from mfsweep.data.remembered import Remembered
from mfsweep.data.residuals import left_by_offsets
from mfsweep.data.rounding import float32_rounding
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.survey.balance import named_parts
from mfsweep.data.survey.duplicates import leaks
from mfsweep.data.unseen import require_unseen
from mfsweep.data.uses import Use, distinct, evaluation_uses, training_uses
from mfsweep.data.view import DataView, shown
from mfsweep.errors import DataError
from mfsweep.quantities import count
from mfsweep.spec.data import TEST_SUBSET, Difference, Shuffled, SubsetName, parts
from mfsweep.spec.stage import Evaluation, LabelledSet, Training

Indices = NDArray[np.int64]
MUCH = 1.0
"""eV/atom that offsets leave on average, from which on it is told; those that are fitted leave none."""


def check(
    view: DataView,
    trainings: Sequence[Training],
    evaluations: Sequence[tuple[Training, Evaluation]],
    memory: Remembered | None = None,
) -> list[str]:
    """Check the data of a sweep.

    Args:
        view: the source and its partition.
        trainings: the stages that will train on it.
        evaluations: stages and what they are scored on.
        memory: of judgements that take long.

    Returns:
        Warnings: what is allowed, but weakens a conclusion.

    Raises:
        DataError: an unknown subset or label method; a size above the subset's; missing labels; no
            validation structures; a structure above the atom cap, charged or open-shell; an
            element without an energy offset; labels that the
            judge of data refuses; labels of a test that a stage would see.
    """
    several = distinct(trainings)
    for training in several:
        for use in training_uses(view, training):
            _require_sound(view, use)
        _require_under_edges(view, training)
    for use in evaluation_uses(view, evaluations):
        _require_sound(view, use)
    require_unseen(view, several, evaluations)
    warnings = dict.fromkeys(_judged(view, several, evaluations, memory or Remembered()))
    uses = [use for training in several for use in training_uses(view, training)]
    warnings |= dict.fromkeys(_open_offsets(view, [*uses, *evaluation_uses(view, evaluations)]))
    for training in several:
        for method in training.methods:
            for part in parts(method, view.derived):
                # as if the stage trained on the part itself
                alike = [own.but(labels=part) for own in training.sets if own.labels == method]
                warnings |= dict.fromkeys(_rounded(view, part, alike))
            warnings |= dict.fromkeys(_weaknesses(view, method, training.sets))
    warnings |= dict.fromkeys(_leaks(view))
    return list(warnings)


def _judged(
    view: DataView,
    trainings: Sequence[Training],
    evaluations: Sequence[tuple[Training, Evaluation]],
    memory: Remembered,
) -> Iterator[str]:
    """Yield what the judge of data warns of; what it refuses is raised."""
    nothing = np.zeros(len(view.structures.formula), np.bool_)
    used, tested, trained = nothing.copy(), nothing.copy(), dict[str, NDArray[np.bool_]]()
    for training in trainings:
        for use in training_uses(view, training):
            used[use.members] = True
            for part in parts(use.method, view.derived):
                trained.setdefault(part, nothing.copy())[use.members] = True
    for use in evaluation_uses(view, evaluations):
        used[use.members] = True
    for _, own in evaluations:
        if own.part == "test":
            tested[view.part(own)] = True
    trained = {method: own & ~tested for method, own in trained.items()}
    judge_structures(view, used, trained, memory)
    for method, own in trained.items():
        yield from judge_labels(view, method, ~tested)
        yield from conflicting(view, method, np.flatnonzero(own), memory)


def _require_sound(view: DataView, use: Use) -> None:
    _require_closed_shell(view, use)
    _require_under_cap(view, use)
    _require_offsets(view, use)


def _require_closed_shell(view: DataView, use: Use) -> None:
    structures = view.structures
    if structures.charge is not None:
        charged = use.members[structures.charge[use.members] != 0]
        if len(charged):
            first = int(charged[0])
            raise DataError(
                f"{view.place}: {use.place}: expected neutral structures, got {len(charged)} charged ones: "
                f"{structures.describe(first)} has charge {structures.charge[first]:+d}. The models know no charge: "
                "leave these structures out of the file"
            )
    electrons = structures.counts(use.members, view.elements) @ np.array(view.elements)
    odd = electrons % 2 == 1
    if structures.pbc is not None:  # the electrons of a cell say nothing of the shells of a crystal
        odd &= ~structures.pbc[use.members].any(axis=1)
    odd = use.members[odd]
    if len(odd):
        raise DataError(
            f"{view.place}: {use.place}: expected closed shells, got {len(odd)} structures with an odd number of "
            f"electrons, the first is {structures.describe(int(odd[0]))}. Radicals and ions are not on the "
            "surface that the others share: leave these structures out of the file"
        )


def _require_under_cap(view: DataView, use: Use) -> None:
    sizes = view.structures.sizes[use.members]
    above = use.members[sizes > use.max_atoms]
    if len(above):
        raise DataError(
            f"{view.place}: {use.place}: expected at most {use.max_atoms} atoms in a structure (batch.max_atoms), "
            f"got {sizes.max()}: {len(above)} are above, the first is {view.structures.describe(int(above[0]))}. "
            "Raise batch.max_atoms, or leave these structures out of the file"
        )


def _require_under_edges(view: DataView, training: Training) -> None:
    if training.edge_cap is None:
        return
    cap, cutoff = training.edge_cap
    edges = np.diff(view.edges(cutoff).offsets)
    for own in training.sets:
        members = view.training(own)
        above = members[edges[members] > cap]
        if len(above):
            raise DataError(
                f"{view.place}: {shown(own)}: expected at most {cap} edges in a structure (batch.max_edges), got "
                f"{edges[members].max()} within {cutoff:g} angstrom: {len(above)} are above, the first is "
                f"{view.structures.describe(int(above[0]))}. Raise batch.max_edges, or leave these structures out "
                "of the file"
            )


def _require_offsets(view: DataView, use: Use) -> None:
    structures = view.structures
    offsets = view.offsets(use.reference, use.sets)
    for z in structures.elements_of(use.members):
        if z not in offsets:
            first = np.argmax(structures.counts(use.members, [z])[:, 0] > 0)
            example = structures.describe(int(use.members[first]))
            known = ", ".join(SYMBOLS[e] for e in sorted(offsets))
            why = f"data.offsets gives those of {known} alone. Add it there"
            if view.given(use.reference) is None:
                fitted, name = view.fit_set(use.reference, use.sets)
                why = (
                    f"the {len(fitted)} structures of {name}, on which the offsets are fitted, hold only {known}. "
                    f"Enlarge that set until it has {SYMBOLS[z]}, take another split seed"
                )
            raise DataError(
                f"{view.place}: {use.place}: {SYMBOLS[z]} (in {example}) has no energy offset of {use.reference}: "
                f"{why}, or leave these structures out of the file"
            )


def _open_offsets(view: DataView, uses: Sequence[Use]) -> Iterator[str]:
    """Yield which energy offsets the compositions leave open, and how many structures it matters to."""
    affected: dict[tuple[str, bytes], list[Use]] = {}
    for use in uses:
        if view.given(use.reference) is None:
            fitted, _ = view.fit_set(use.reference, use.sets)
            affected.setdefault((use.reference, fitted.tobytes()), []).append(use)
    for (method, _), own in affected.items():
        fitted, name = view.fit_set(method, own[0].sets)
        free = freedom(view.structures, fitted)
        if not len(free.directions):
            continue
        members = np.unique(np.concatenate([use.members for use in own]))
        touched = int(free.open(view.structures, members).sum())
        text = (
            f"the compositions of {name} ({count(len(fitted), 'structure')}) fix "
            f"{len(free.elements) - len(free.directions)} of the {len(free.elements)} energy offsets of {method} "
            f"({', '.join(SYMBOLS[z] for z in free.elements)}); free: {free.shown}. Those of least length are taken"
        )
        if touched:
            text += (
                f": {count(touched, 'structure')} of other sets have other compositions, whose energies are then off "
                "by what was left open. Give `offsets: isolated_atoms` or a table, or fit on more compositions"
            )
        yield text


def _leaks(view: DataView) -> Iterator[str]:
    """Yield which parts share geometries. Copies have one formula, so a partition by formula cannot part them."""
    splits = view.data.splits
    if splits.by_formula:
        return
    structures = view.structures
    way = "by the parts given" if splits.given else f"split by {splits.by}"
    for leak in leaks(view.hashes, named_parts(view.partition)):
        one, other = leak.parts
        first = f"{structures.describe(int(leak.pairs.first[0]))} and {structures.describe(int(leak.pairs.other[0]))}"
        yield (
            f"{count(len(leak.pairs.other), 'structure')} of {other} with the same geometry as one of {one}, the first "
            f"are {first}: {way}, copies are not kept together"
        )


def _rounded(view: DataView, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Yield that the energies which a training learns were rounded on their way here."""
    members = np.unique(np.concatenate([view.training(own) for own in sets]))
    structures = view.structures
    if found := float32_rounding(structures.labels[method].energy[members], structures.sizes[members]):
        yield f"the {method} {found.sentence} ({structures.describe(int(members[found.first]))} most)"


def _unshuffled(view: DataView, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Yield which labelled sets of a shuffled method have structures that could change places with no other."""
    shuffle = view.derived.get(method)
    if not isinstance(shuffle, Shuffled):
        return
    takers, givers = donors(view.structures, shuffle, view.owners)
    alone = takers[takers == givers]
    for labelled in sets:
        if kept := int(np.isin(view.training(labelled), alone).sum()):
            yield (
                f"{count(kept, 'structure')} of {shown(labelled)} with their own labels: they are the only ones of "
                "their formula in their part, within which labels are shuffled"
            )


def _on_offsets(view: DataView, method: str, own: Sequence[LabelledSet], sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Yield what to know of a method's energy offsets: `own` are the sets with it."""
    if view.given(method) is not None:
        left = float(left_by_offsets(view, method, own)[1].mean())
        if abs(left) > MUCH:
            yield (
                f"the offsets given for {method} leave {left:.3g} eV/atom of its training labels on average, which the "
                "model has to learn first (isolated atoms leave the binding energy): allow more steps than with others"
            )
    elif view.data.offsets != "paid" and "a" in view.partition.train:
        fitted, name = view.fit_set(method, sets)
        a = view.partition.train["a"]
        if not np.isin(fitted, a).all():
            yield f"{method} has no labels in the training part of a: its energy offsets are fitted on {name}"
        elif len(fitted) < len(a):
            yield f"{len(fitted)} of {len(a)} training structures of a carry {method}: its offsets are fitted on these"


def _small_validation(view: DataView, method: str, subsets: list[SubsetName]) -> Iterator[str]:
    structures, held = view.structures, view.validation(method, subsets)
    where = f"the validation set of {method} ({' and '.join(subsets)})"
    if len(held) == 1:
        yield (
            f"{where} is one structure, {structures.describe(int(held[0]))}: schedule, stop and the checkpoint that is "
            f"kept hang on it. Raise data.splits.{subsets[0]}.validation"
        )
    elif len(np.unique(structures.formula[held])) < 2:
        formula = structures.formulae[structures.formula[held[0]]]
        yield f"{where} has one formula, {formula}: its error says little of others"


def _weaknesses(view: DataView, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    structures = view.structures
    own = [labelled for labelled in sets if labelled.labels == method]
    subsets: list[SubsetName] = sorted({labelled.subset for labelled in own})
    yield from _small_validation(view, method, subsets)
    for labelled in own:
        members = view.training(labelled)
        if len(np.unique(structures.formula[members])) < 2:
            yield f"{shown(labelled)} has structures of one formula only"
    yield from _unshuffled(view, method, own)
    yield from _on_offsets(view, method, own, sets)
    difference = view.derived.get(method)
    if isinstance(difference, Difference):
        spread = 1000 * left_by_offsets(view, method, own)[1].std()
        alike = [labelled.but(labels=difference.target) for labelled in own]
        plain = 1000 * left_by_offsets(view, difference.target, alike)[1].std()
        if spread > plain:
            yield (
                f"{method} spreads by {spread:.3g} meV/atom after its energy offsets, and {difference.target} itself "
                f"by {plain:.3g}: what is left to learn is no smaller for having {difference.minus} taken off"
            )
    if TEST_SUBSET in subsets:
        yield f"{method} is trained on the test structures themselves (with its own labels, never the target's)"
