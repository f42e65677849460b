"""`train:` of a stage as a spec writes it -> the labelled sets that are trained on.

Empty sets vanish before probabilities are shared. Differences and shuffled labels become label methods with names of
their own, so that everything after the plan knows methods only.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ulp
from typing import NamedTuple

from mfsweep.spec.data import Derived, parts
from mfsweep.spec.load import FieldPath, Spec
from mfsweep.spec.stage import LabelledSet, MixtureSet, Stage

_NOISE = 1e-9
"""Within which probabilities sum to 1, and are equal."""


class Mixture(NamedTuple):
    """The labelled sets of one stage."""

    sets: tuple[LabelledSet, ...]
    """Not empty, probabilities shared out, sorted by labels and subset."""
    derived: dict[str, Derived]
    """The label methods among theirs that are made of others."""
    uses: dict[str, frozenset[str]]
    """Label method -> `energy`, `forces` or both, where the spec says so."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the label methods, sorted."""
        return tuple(sorted({labelled.labels for labelled in self.sets}))

    @property
    def heads(self) -> dict[str, str]:
        """Return label method -> readout head."""
        return {labelled.labels: labelled.trains for labelled in self.sets}

    def parts(self, method: str) -> tuple[str, ...]:
        """Return the methods of the file behind a label method."""
        return parts(method, self.derived)


def mixture(spec: Spec, stage: Stage, place: FieldPath) -> Mixture:
    """Return the labelled sets of a stage.

    Raises:
        SpecError: probabilities that contradict each other, or sets that cannot be told apart.
    """
    left = [own for own in stage.train if not own.is_empty and own.probability != 0]
    # A set of probability 1 leaves nothing for the others, as one of 0 gets nothing itself: alpha may be either.
    left = [own for own in left if own.probability == 1] or left
    _check_probabilities(spec, left, place)
    _check_pairs(spec, left, place)
    ordered = sorted(left, key=lambda own: (own.method, own.subset))
    sets = [
        LabelledSet(
            labels=own.method,
            subset=own.subset,
            size=own.size,
            range=own.range,
            probability=probability,
            head=own.head if own.head != own.method else None,
        )
        for own, probability in zip(ordered, shared([own.probability for own in ordered]), strict=True)
    ]
    return Mixture(
        sets=tuple(sets),
        derived={own.labels.name: own.labels for own in left if not isinstance(own.labels, str)},
        uses={own.method: frozenset(own.use) for own in left if own.use is not None},
    )


def shared(stated: Sequence[float | None]) -> list[float]:
    """Return the probabilities of sets in sorted order, those that state none sharing evenly what the others leave.

    One mixture, one spelling, whichever of its sets state theirs: all equal are 1/n, and otherwise the first is what
    the others leave. For the machine 1 - 0.9 is not 0.1.
    """
    if not stated:
        return []
    given = sum(own or 0.0 for own in stated)
    open_ended = sum(own is None for own in stated)
    found = [(1 - given) / open_ended if own is None else own for own in stated]
    if all(abs(own - 1 / len(found)) < _NOISE for own in found):
        return [1 / len(found)] * len(found)
    others = [_without_noise(own) for own in found[1:]]
    return [1 - sum(others), *others]


def _without_noise(value: float) -> float:
    """Return the short decimal number that a sum or difference of such missed by rounding, else the value itself."""
    short = float(f"{value:.12g}")
    return short if abs(short - value) < 4 * ulp(1.0) else value


def _check_probabilities(spec: Spec, left: list[MixtureSet], place: FieldPath) -> None:
    given = sum(own.probability or 0 for own in left)
    open_ended = any(own.probability is None for own in left)
    if left and (given > 1 + _NOISE or (open_ended and given > 1 - _NOISE) or (not open_ended and given < 1 - _NOISE)):
        shown = [own.probability for own in left]
        expected = "probabilities that sum to 1, or to less with sets that share the rest"
        raise spec.document.error((*place, "train"), shown, expected)


def _check_pairs(spec: Spec, left: list[MixtureSet], place: FieldPath) -> None:
    for index, own in enumerate(left):
        here = (*place, "train", index)
        for other in left[:index]:
            if own.method != other.method:
                continue
            if own.subset == other.subset:
                raise spec.document.error(here, (own.method, own.subset), "each pair of labels and subset once")
            if own.use != other.use:
                expected = f"one `use` for all sets of {own.method}: an earlier one has {other.use}"
                raise spec.document.error((*here, "use"), own.use, expected)
            if own.head != other.head:
                expected = f"one readout head for all sets of {own.method}: an earlier one has {other.head}"
                raise spec.document.error((*here, "head"), own.head, expected)
