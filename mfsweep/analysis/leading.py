"""The setting of a grid with the least error, and the direct training beside it: what errors are split up for."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from mfsweep.analysis.gain import FinishedCell, paired
from mfsweep.analysis.table import scalar


class Leading(NamedTuple):
    """One setting, its replicates together."""

    values: dict[str, Any]
    """Axis values, seeds left out."""
    outcomes: tuple[FinishedCell, ...]
    direct: bool

    @property
    def error(self) -> float:
        """Return the geometric mean over its replicates."""
        return math.exp(statistics.fmean(math.log(one.error) for one in self.outcomes))

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
        settings.setdefault(_text(one), []).append(one)
    most = max(map(len, settings.values()))
    whole = [_leading(own) for own in settings.values() if len(own) == most]
    best = min(whole, key=lambda one: one.error)
    beside = {id(one): other for one, other in paired(known)}
    direct = list({other.key: other for one in best.outcomes if (other := beside.get(id(one)))}.values())
    return best, _leading(direct) if direct else None


def _leading(own: list[FinishedCell]) -> Leading:
    return Leading(own[0].setting, tuple({one.key: one for one in own}.values()), own[0].direct)


def _text(one: FinishedCell) -> str:
    return json.dumps({axis: scalar(value) for axis, value in one.setting.items()}, sort_keys=True)
