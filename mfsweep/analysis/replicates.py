"""What a replicate is: of what numbers lie apart by chance, and so what intervals are over.

Where trainings differ in their partition (fold or split seed), those of one partition share its test set and its
difficulty, whatever their seed: a replicate is a partition, and seeds are averaged within it. Else it is a seed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mfsweep.analysis.balance import Replicate, SplitSeed
from mfsweep.quantities import count


def by_partition(found: Iterable[Replicate]) -> bool:
    """Return whether the replicates of these (seed, split) are partitions."""
    return len({split for _, split in found}) > 1


def label(one: Replicate, partitions: bool) -> SplitSeed:
    """Return which replicate a (seed, split) belongs to."""
    return one[1] if partitions else one[0]


def labels(found: Iterable[Replicate]) -> dict[Replicate, SplitSeed]:
    """Return (seed, split) -> its replicate."""
    found = list(found)
    partitions = by_partition(found)
    return {one: label(one, partitions) for one in found}


def noun(found: Collection[SplitSeed], partitions: bool) -> str:
    """Return what a replicate is called: seed, fold or partition."""
    if not partitions:
        return "seed"
    return "fold" if all(isinstance(one, str) for one in found) else "partition"


def text(found: Collection[SplitSeed], partitions: bool) -> str:
    """Return `5 folds`, `3 partitions of one pool`, or `3 seeds of one partition`.

    Partitions of one pool share test structures: what lies between them says nothing of other molecules. Seeds of one
    partition share all of them, and folds none.
    """
    of = {"seed": " of one partition", "fold": "", "partition": " of one pool"}
    name = noun(found, partitions)
    return count(len(set(found)), name) + of[name]
