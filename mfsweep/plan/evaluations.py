"""Evaluations as a spec writes them -> which head predicts, with which offsets, on top of what, under which name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mfsweep.plan.expand import Cell, LiveStage
from mfsweep.plan.names import known_method, known_subset
from mfsweep.spec.data import TEST_SUBSET, Difference
from mfsweep.spec.load import FieldPath, Spec, dotted
from mfsweep.spec.stage import Evaluation


def filled(spec: Spec, live: LiveStage, evaluation: Evaluation, place: FieldPath) -> Evaluation:
    """Return an evaluation with head, offsets, base and the file's keys filled in.

    Where the stage has learned the labels only as a difference (delta-learning), its head predicts the difference, and
    what it is taken against is added: base + correction.

    Raises:
        SpecError: it names what the data do not declare.
    """
    known_subset(spec, evaluation.subset, (*place, "subset"))
    heads, labels = live.mixture.heads, evaluation.labels
    if labels not in live.mixture.derived:
        known_method(spec, labels, (*place, "labels"), evaluation.subset)
    learned, base = _learned(spec, live, evaluation, place)
    head = evaluation.head or heads.get(learned, labels)
    offsets = evaluation.offsets or learned
    if offsets not in live.mixture.derived:
        known_method(spec, offsets, (*place, "offsets"))
    own = True if evaluation.head is None and head != labels else None
    known = spec.experiment.data.labels
    behind = [labels, offsets, *([base] if base else [])]
    keys = tuple(known[part] for method in behind for part in live.mixture.parts(method))
    checkpoint = evaluation.checkpoint if evaluation.checkpoint != "selected" else None
    return evaluation.but(head=head, offsets=offsets, base=base, own=own, keys=keys, checkpoint=checkpoint)


def _learned(spec: Spec, live: LiveStage, evaluation: Evaluation, place: FieldPath) -> tuple[str, str | None]:
    """Return the label method that the stage has learned for an evaluation, and what is added to its prediction.

    A difference stands for its target where the stage has not learned that itself by the head that is asked.
    """
    heads, labels, asked = live.mixture.heads, evaluation.labels, evaluation.head
    differences = {
        name: made.minus
        for name, made in live.mixture.derived.items()
        if isinstance(made, Difference) and made.target == labels and asked in (None, heads[name])
    }
    if evaluation.base is not None:
        differences = {name: minus for name, minus in differences.items() if minus == evaluation.base}
        if not differences:
            expected = f"what a difference of {labels} that stage {live.name!r} trains is taken against"
            raise spec.document.error(place, f"base: {evaluation.base}", expected)
    elif labels in heads and asked in (None, heads[labels]):
        return labels, None
    if len(differences) > 1:
        expected = f"one of the differences of {labels} by its `base`: {' or '.join(differences.values())}"
        raise spec.document.error(place, labels, expected)
    return next(iter(differences.items()), (labels, None))


def asked_of(cell: Cell, live: LiveStage) -> list[tuple[FieldPath, Evaluation]]:
    """Return the evaluations that a cell asks of one of its stages, as they are written, each with its place."""
    asked: list[tuple[FieldPath, Evaluation]] = [
        (("stages", live.name, "evaluate", index), own) for index, own in enumerate(live.stage.evaluate)
    ]
    if live.name == cell.result:
        asked += [(("evaluate", index), own) for index, own in enumerate(cell.evaluations)]
    return asked


def check_name(
    spec: Spec,
    live: LiveStage,
    evaluation: Evaluation,
    place: FieldPath,
    others: Iterable[tuple[Evaluation, FieldPath]],
) -> None:
    """Refuse an evaluation whose scores another one's would be mistaken for.

    Args:
        spec: for errors.
        live: the stage.
        evaluation: filled in.
        place: where it stands.
        others: the stage's evaluations so far, filled in, with their places.

    Raises:
        SpecError: with both places.
    """
    for other, there in others:
        if other.name == evaluation.name:
            differs = [name for name in ("offsets", "base") if getattr(other, name) != getattr(evaluation, name)]
            expected = (
                f"one evaluation of stage {live.name!r} called {evaluation.name}: {_shown(spec, there)} asks for "
                f"another, which differs in {' and '.join(differs)}, and a name does not tell these"
            )
            raise spec.document.error(place, f"{evaluation.labels} on {evaluation.subset}", expected)


def check_short_names(
    spec: Spec, live: LiveStage, asked: Mapping[Evaluation, FieldPath], every: Iterable[tuple[Evaluation, FieldPath]]
) -> None:
    """Refuse that `test.cc` means a score on `t` in a cell that asks for one on another subset, and for none on `t`.

    Cells that train the same share the stage and all its scores, whichever of them asks for a score.

    Args:
        spec: for errors.
        live: the stage in one cell.
        asked: what the cell asks of it, filled in, with the places.
        every: what all cells ask of it.

    Raises:
        SpecError: with both places.
    """
    short = {other.name: (other, there) for other, there in every if other.subset == TEST_SUBSET}
    for one, place in asked.items():
        name = one.but(subset=TEST_SUBSET).name
        if one.part == "test" and name in short and short[name][0] not in asked:
            expected = (
                f"one on {TEST_SUBSET!r} beside it: {_shown(spec, short[name][1])} has the same stage {live.name!r} "
                f"scored there for another cell, and {name} would mean that score. A path to this one says {one.name}"
            )
            raise spec.document.error(place, f"{one.labels} on {one.subset}", expected)


def _shown(spec: Spec, place: FieldPath) -> str:
    return f"{dotted(place)} on line {spec.document.line(place)}"
