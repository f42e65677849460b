"""The setting of a grid with the least error, and the direct training beside it: what errors are split up for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from mfsweep.analysis.balance import SplitSeed, balanced
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

    Where the best is direct training itself, or one of its replicates has no direct training, there is only the one.
    Settings are compared over the same replicates (balance.py): without the hard fold one would look better than it is.
    """
    known = [one for one in outcomes if one.error > 0]
    if not known:
        return None
    replicate = labels((one.seed, one.split_seed) for one in known)
    have: dict[SplitSeed, dict[str, list[FinishedCell]]] = {}
    for one in known:
        have.setdefault(replicate[one.seed, one.split_seed], {}).setdefault(setting_text(one), []).append(one)
    kept = balanced({name: own.keys() for name, own in have.items()})
    complete = [
        _leading([one for name in kept.replicates for one in have[name][setting]]) for setting in sorted(kept.settings)
    ]
    best = min(complete, key=lambda one: one.error)
    beside = {id(one): other for one, other in paired(known)}
    direct = [beside.get(id(one)) for one in best.outcomes]
    return best, _leading([other for other in direct if other]) if all(direct) else None


def _leading(own: list[FinishedCell]) -> Leading:
    return Leading(own[0].setting, tuple({one.key: one for one in own}.values()), own[0].direct)
