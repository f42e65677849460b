"""A study of a search in this run: its points that are being trained, and how many have come to which end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mfsweep.plan.graph import PlannedCell
from mfsweep.prepare.points import SearchPoint, text
from mfsweep.run.optuna_study import Asked, OptunaStudy
from mfsweep.run.pruning import Judge
from mfsweep.spec.axes import SEEDS, Value


def seeds_of(planned: PlannedCell) -> str:
    """Return the seeds of a cell as text."""
    return text({axis: value for axis, value in planned.cell.values.items() if axis in SEEDS}) or "cell"


@dataclass
class PointOut:
    """A point that is being trained."""

    asked: Asked
    point: SearchPoint
    seeds: dict[str, str]
    """Key of a result -> its seeds as text."""
    number: int = 0
    """Number of the point, for the judge."""


@dataclass
class RunningStudy:
    """A study in this run."""

    study: OptunaStudy
    values: Mapping[str, Value]
    judge: Judge | None
    """Where the search has a pruner."""
    out: list[PointOut] = field(default_factory=list)
    complete: int = 0
    """Points that have a value, from earlier runs too."""
    pruned: int = 0
    """Points that were given up, by earlier runs too."""
    failed: int = 0
    """Points of this run that have none, those that cannot be planned too."""
    refused: int = 0

    @property
    def ended(self) -> int:
        """Return how many points have come to an end, of those that count."""
        return self.complete + self.pruned + self.failed
