"""The check of the exactly-once law: what the ranks put through the model, pass by pass.

The sampler promises that a pass over a labelled set holds each structure once. Here nothing of that promise is used:
every rank counts the structures of the batches it has trained on, the counts are summed over ranks and carried over
checkpoints, and a pass that ends must add up to its set. So a batch that two ranks took, one that none took, or a
resumed training whose passes are ordered otherwise (by another numpy) does not go unseen.

A count alone would miss one structure in place of another, so a sum of hashes of the structure indices goes with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mfsweep.errors import TrainingError
from mfsweep.spec.stage import LabelledSet
from mfsweep.train.world import World


class PassId(NamedTuple):
    """One pass over one labelled set."""

    set: int
    """Index into the training's sets."""
    number: int
    """From 0."""


class Tally:
    """The structures trained on in every pass that has not ended."""

    def __init__(self, sets: Sequence[LabelledSet], members: Sequence[NDArray[np.int64]]) -> None:
        """Start before the first pass.

        Args:
            sets: the training's labelled sets.
            members: the structures of each.
        """
        self._sets = sets
        self._expected = [_sums(own) for own in members]
        self._own: dict[PassId, NDArray[np.int64]] = {}
        """What this rank has seen since the last `gather`: (2,) count and sum of hashes."""
        self._all: dict[PassId, NDArray[np.int64]] = {}
        """What all ranks have seen up to the last `gather`."""

    def add(self, own: PassId, indices: NDArray[np.int64]) -> None:
        """Count a batch that this rank has trained on, (n,) structure indices."""
        self._own[own] = self._own.get(own, 0) + _sums(indices)

    def gather(self, drawn: Collection[PassId], world: World) -> None:
        """Sum the counts over ranks; `drawn` are the passes that any rank drew from, the same on every rank."""
        order = sorted(drawn)
        nothing = np.zeros(2, np.int64)
        counts = torch.from_numpy(np.stack([self._own.pop(one, nothing) for one in order])).to(world.device)
        assert not self._own, "a rank trained on a batch that was not drawn"
        world.sum_(counts)
        for one, found in zip(order, counts.cpu().numpy(), strict=True):
            self._all[one] = self._all.get(one, 0) + found

    def close(self, finished: PassId) -> int:
        """Return how many structures were trained on in a pass that ended before the last `gather`.

        Raises:
            TrainingError: they are not each structure of the set once.
        """
        found, expected = self._all.pop(finished), self._expected[finished.set]
        if not np.array_equal(found, expected):
            own = self._sets[finished.set]
            raise TrainingError(
                f"pass {finished.number} over {own.labels}/{own.subset} trained on {found[0]} structures, expected "
                f"each of the set's {expected[0]} once. Was the stage resumed by another version of mfsweep or numpy "
                "than began it? Remove its folder and run again"
            )
        return int(found[0])

    def state(self) -> list[list[int]]:
        """Return the counts of the passes that have not ended, as plain data."""
        assert not self._own, "gather before saving"
        return [[*one, *counts.tolist()] for one, counts in sorted(self._all.items())]

    def restore(self, state: list[list[int]]) -> None:
        """Stand where `state` was taken."""
        self._own = {}
        self._all = {PassId(number, pass_): np.array(counts, np.int64) for number, pass_, *counts in state}


def _sums(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many structures there are and the sum of their hashes, (2,)."""
    # The finaliser of splitmix64, on numbers from 1. 40 of its bits, so that millions of them add up within int64.
    mixed = (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes = (mixed >> np.uint64(24)).astype(np.int64)
    return np.array([len(indices), hashes.sum()], np.int64)
