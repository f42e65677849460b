"""What each labelled set got of the trainings that mix several: requested beside realised (does alpha act?)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.analysis.records import Records
from mfsweep.records import CellRecord, Share

MIXTURES_HEAD = (
    "stage",
    "set",
    "trainings",
    "requested, batches",
    "realised, batches",
    "structures",
    "atoms",
    "passes",
)
TEXT = frozenset({0, 1})


class Range(NamedTuple):
    """Least and greatest over trainings."""

    low: float
    high: float

    def percent(self) -> str:
        """Return it as a share."""
        low, high = f"{self.low:.1%}", f"{self.high:.1%}"
        return low if low == high else f"{low} to {high}"

    def number(self) -> str:
        """Return it as a number."""
        low, high = f"{self.low:.3g}", f"{self.high:.3g}"
        return low if low == high else f"{low} to {high}"


class Realised(NamedTuple):
    """One labelled set in the trainings of one stage that request the same probabilities."""

    stage: str
    labels: str
    subset: str
    trainings: int
    requested: float
    """Probability of a batch."""
    batches: Range
    structures: Range
    atoms: Range
    """Realised shares of the training's totals."""
    passes: Range

    def row(self) -> tuple[str, ...]:
        """Return the fields of a table."""
        shares = (one.percent() for one in (self.batches, self.structures, self.atoms))
        named = self.stage, f"{self.labels}; {self.subset}", str(self.trainings), f"{self.requested:.1%}"
        return (*named, *shares, self.passes.number())


def realised(records: Records, cells: Sequence[CellRecord]) -> list[Realised]:
    """Return the labelled sets of all mixtures, a row for each stage, set and requested mixture.

    Trainings of one set alone have nothing to share, and are left out.
    """
    names = {key: name for cell in cells for name, key in cell.stages.items()}
    kinds: dict[tuple[object, ...], list[list[Share]]] = {}
    for key, name in names.items():
        stage = records.stage(key)
        if stage and len(stage.record.shares) > 1:
            shares = stage.record.shares
            kind = (name, *((share.labels, share.subset, round(share.requested, 6)) for share in shares))
            kinds.setdefault(kind, []).append(shares)
    made = [
        _realised(str(kind[0]), place, trainings) for kind, trainings in kinds.items() for place in range(len(kind) - 1)
    ]
    return sorted(made, key=lambda one: one.stage)


def _realised(stage: str, place: int, trainings: Sequence[Sequence[Share]]) -> Realised:
    def share_of(name: str) -> Range:
        found = [getattr(own[place], name) / max(1, sum(getattr(one, name) for one in own)) for own in trainings]
        return Range(min(found), max(found))

    first, passes = trainings[0][place], [own[place].passes for own in trainings]
    return Realised(
        stage=stage,
        labels=first.labels,
        subset=first.subset,
        trainings=len(trainings),
        requested=first.requested,
        batches=share_of("batches"),
        structures=share_of("structures"),
        atoms=share_of("atoms"),
        passes=Range(min(passes), max(passes)),
    )
