"""Evaluations as a spec writes them -> which head predicts, with which offsets, on top of what."""

from __future__ import annotations

from mfsweep.plan.expand import LiveStage
from mfsweep.plan.names import known_method, known_subset
from mfsweep.spec.data import Difference
from mfsweep.spec.load import Place, Spec
from mfsweep.spec.stage import Evaluation


def filled(spec: Spec, live: LiveStage, evaluation: Evaluation) -> Evaluation:
    """Return an evaluation with head, offsets, base and the file's keys filled in.

    Where the stage has learned the labels only as a difference (delta-learning), its head predicts the difference, and
    what it is taken against is added: base + correction.

    Raises:
        SpecError: it names what the data do not declare.
    """
    place = place_of(live, evaluation)
    known_subset(spec, evaluation.subset, place)
    heads, labels = live.mixture.heads, evaluation.labels
    if labels not in live.mixture.derived:
        known_method(spec, labels, place)
    learned, base = _learned(spec, live, evaluation, place)
    head = evaluation.head or heads.get(learned, labels)
    offsets = evaluation.offsets or learned
    if offsets not in live.mixture.derived:
        known_method(spec, offsets, place)
    own = True if evaluation.head is None and head != labels else None
    known = spec.experiment.data.labels
    behind = [labels, offsets, *([base] if base else [])]
    keys = tuple(known[part] for method in behind for part in live.mixture.parts(method))
    return evaluation.but(head=head, offsets=offsets, base=base, own=own, keys=keys)


def _learned(spec: Spec, live: LiveStage, evaluation: Evaluation, place: Place) -> tuple[str, str | None]:
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


def place_of(live: LiveStage, evaluation: Evaluation) -> Place:
    """Return where an evaluation, as it is written, stands in the spec."""
    return ("stages", live.name, "evaluate") if evaluation in live.stage.evaluate else ("evaluate",)
