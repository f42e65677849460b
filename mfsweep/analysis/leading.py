"""The setting of a grid with the least error, and the direct training beside it: what errors are split up for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.gain import FinishedCell, paired, setting_text
from mfsweep.analysis.replicates import labels


class Leading(NamedTuple):
    """One setting, its replicates together."""

    values: dict[str, Any]
    """Axis values, seeds left out."""
    outcomes: tuple[FinishedCell, ...]
    direct: bool

    @property
    def of_replicates(self) -> dict[SplitSeed, float]:
        """Return replicate (replicates.py) -> the geometric mean over its trainings."""
        replicate = labels((one.seed, one.split_seed) for one in self.outcomes)
        found: dict[SplitSeed, list[float]] = {}
        for one in self.outcomes:
            found.setdefault(replicate[one.seed, one.split_seed], []).append(math.log(one.error))
        return {name: math.exp(statistics.fmean(own)) for name, own in found.items()}

    @property
    def error(self) -> float:
        """Return the geometric mean over its replicates."""
        return math.exp(statistics.fmean(map(math.log, self.of_replicates.values())))

    @property
    def converged(self) -> bool:
        """Return whether all replicates have."""
        return all(one.converged for one in self.outcomes)


def leading(outcomes: Sequence[FinishedCell]) -> tuple[Leading, Leading | None] | None:
    """Return the setting with the least error, and direct training with its target labels; None without an outcome.

    Where the best is direct training itself, or nothing was trained directly, there is only the one.
    """
    known = [one for one in outcomes if one.error > 0]
    if not known:
        return None
    settings: dict[str, list[FinishedCell]] = {}
    for one in known:
        settings.setdefault(setting_text(one), []).append(one)
    most = max(map(len, settings.values()))
    whole = [_leading(own) for own in settings.values() if len(own) == most]
    best = min(whole, key=lambda one: one.error)
    beside = {id(one): other for one, other in paired(known)}
    direct = list({other.key: other for one in best.outcomes if (other := beside.get(id(one)))}.values())
    return best, _leading(direct) if direct else None


def _leading(own: list[FinishedCell]) -> Leading:
    return Leading(own[0].setting, tuple({one.key: one for one in own}.values()), own[0].direct)
