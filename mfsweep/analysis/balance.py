"""Where replicates do not all have the same settings: which of both to keep, so that each replicate averages alike.

A mean over settings differs between replicates by which settings each has: a spread over such means is none of the
replicates, and the mean itself belongs to no one set of settings.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from scipy import stats

ReplicateT = TypeVar("ReplicateT", bound=Hashable)
SettingT = TypeVar("SettingT", bound=Hashable)
SplitSeed = int | str
"""Which partition: its split seed or, where test parts are the disjoint folds of one, the fold's name."""
Replicate = tuple[int, SplitSeed]
"""Seed and split."""


class Balanced(NamedTuple, Generic[ReplicateT, SettingT]):
    """Replicates, and the settings that each of them has."""

    replicates: tuple[ReplicateT, ...]
    """In their order."""
    settings: frozenset[SettingT]


def balanced(have: Mapping[ReplicateT, Collection[SettingT]]) -> Balanced[ReplicateT, SettingT]:
    """Return the part with the narrowest interval to be expected in which every replicate has every setting.

    What was measured plays no role in it. A replicate is worth more than a setting: Student's t has few of them.

    Arguments:
        have: replicate -> its settings; neither is empty.
    """
    own = {replicate: frozenset(settings) for replicate, settings in have.items()}
    first, *others = own.values()
    common = first.intersection(*others)
    # What two replicates share, or all do, is tried: of all sets of replicates there would be too many.
    tried = dict.fromkeys([common, *(one & other for one in own.values() for other in own.values())])
    left = [
        Balanced(tuple(replicate for replicate, all_of in own.items() if settings <= all_of), settings)
        for settings in tried
        if settings
    ]
    return min(left, key=lambda one: (_expected(len(one.replicates), len(one.settings)), -len(one.settings)))


def _expected(replicates: int, settings: int) -> float:
    """Return the half-width to be expected, up to a factor, where settings vary by as much as replicates do."""
    if replicates < 2:
        return math.inf
    return float(stats.t.ppf(0.975, replicates - 1)) * math.sqrt((1 + 1 / settings) / replicates)
