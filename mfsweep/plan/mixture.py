"""`train:` of a stage as a spec writes it -> the labelled sets that are trained on.

Empty sets vanish before probabilities are shared. Differences and shuffled labels become label methods with names of
their own, so that everything after the plan knows methods only.
"""

from __future__ import annotations

from typing import NamedTuple

from mfsweep.spec.data import Derived, parts
from mfsweep.spec.load import Place, Spec
from mfsweep.spec.stage import LabelledSet, MixtureSet, Stage


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


def mixture(spec: Spec, stage: Stage, place: Place) -> Mixture:
    """Return the labelled sets of a stage.

    Raises:
        SpecError: probabilities that contradict each other, or sets that cannot be told apart.
    """
    left = [own for own in stage.train if not own.is_empty and own.probability != 0]
    # A set of probability 1 leaves nothing for the others, as one of 0 gets nothing itself: alpha may be either.
    left = [own for own in left if own.probability == 1] or left
    _check_probabilities(spec, left, place)
    _check_pairs(spec, left, place)
    given = sum(own.probability or 0 for own in left)
    open_ended = sum(own.probability is None for own in left)
    share = (1 - given) / open_ended if open_ended else 0.0
    sets = [
        LabelledSet(
            labels=own.method,
            subset=own.subset,
            size=own.size,
            range=own.range,
            probability=own.probability if own.probability is not None else share,
            head=own.head if own.head != own.method else None,
        )
        for own in left
    ]
    return Mixture(
        sets=tuple(sorted(sets, key=lambda own: (own.labels, own.subset))),
        derived={own.labels.name: own.labels for own in left if not isinstance(own.labels, str)},
        uses={own.method: frozenset(own.use) for own in left if own.use is not None},
    )


def _check_probabilities(spec: Spec, left: list[MixtureSet], place: Place) -> None:
    given = sum(own.probability or 0 for own in left)
    open_ended = any(own.probability is None for own in left)
    if left and (given > 1 + 1e-9 or (open_ended and given > 1 - 1e-9) or (not open_ended and given < 1 - 1e-9)):
        shown = [own.probability for own in left]
        expected = "probabilities that sum to 1, or to less with sets that share the rest"
        raise spec.document.error((*place, "train"), shown, expected)


def _check_pairs(spec: Spec, left: list[MixtureSet], place: Place) -> None:
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
