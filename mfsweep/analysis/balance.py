"""Where replicates do not all have the same settings: which of both to keep, so that each replicate averages alike.

A mean over settings differs between replicates by which settings each has: a spread over such means is none of the
seeds, and the mean itself belongs to no one set of settings.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

SettingT = TypeVar("SettingT", bound=Hashable)
Replicate = tuple[int, int]
"""Seed and split seed."""


class Balanced(NamedTuple, Generic[SettingT]):
    """Replicates, and the settings that each of them has."""

    replicates: tuple[Replicate, ...]
    """In their order."""
    settings: frozenset[SettingT]


def balanced(have: Mapping[Replicate, Collection[SettingT]]) -> Balanced[SettingT]:
    """Return the largest part in which every replicate has every setting; what was measured plays no role in it.

    Two replicates go before one, which has no interval; then more cells before fewer, and more replicates.

    Arguments:
        have: replicate -> its settings; neither is empty.
    """
    own = {replicate: frozenset(settings) for replicate, settings in have.items()}
    common = frozenset.intersection(*own.values())
    # What two replicates share, or all do, is tried: of all sets of replicates there would be too many.
    tried = dict.fromkeys([common, *(one & other for one in own.values() for other in own.values())])
    left = [
        Balanced(tuple(replicate for replicate, all_of in own.items() if settings <= all_of), settings)
        for settings in tried
        if settings
    ]
    return max(
        left, key=lambda one: (len(one.replicates) > 1, len(one.replicates) * len(one.settings), len(one.replicates))
    )
