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
    learned, base = labels, evaluation.base
    if labels not in heads and evaluation.head is None:
        for name, derived in live.mixture.derived.items():
            if isinstance(derived, Difference) and derived.target == labels:
                learned, base = name, base or derived.minus
    head = evaluation.head or heads.get(learned, labels)
    offsets = evaluation.offsets or learned
    if base is not None:
        known_method(spec, base, place)
    if offsets not in live.mixture.derived:
        known_method(spec, offsets, place)
    own = True if evaluation.head is None and head != labels else None
    known = spec.experiment.data.labels
    behind = [labels, offsets, *([base] if base else [])]
    keys = tuple(known[part] for method in behind for part in live.mixture.parts(method))
    return evaluation.but(head=head, offsets=offsets, base=base, own=own, keys=keys)


def place_of(live: LiveStage, evaluation: Evaluation) -> Place:
    """Return where an evaluation, as it is written, stands in the spec."""
    return ("stages", live.name, "evaluate") if evaluation in live.stage.evaluate else ("evaluate",)
