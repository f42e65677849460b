"""Measured cells as plain arrays: sizes, ways and errors, what a model of errors is fitted on.

Legend: `N` cells. Sizes are numbers of labels; n_pre is 0 where there are no auxiliary labels.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.errors import FitError

Floats = NDArray[np.float64]


class Way(NamedTuple):
    """What a cell does with labels, its sizes left out."""

    strategy: str
    method: str
    """Auxiliary label method; empty of direct training."""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.strategy} on {self.method}" if self.method else self.strategy


@dataclass(frozen=True)
class MeasuredCells:
    """Measured cells, each field (N,).

    Raises:
        FitError: no cell, an error or a fine-tuning size that is not above 0, a way with and without n_pre.
    """

    n_pre: Floats
    """Auxiliary labels; 0: none."""
    n_ft: Floats
    """Target labels."""
    method: Sequence[str]
    strategy: Sequence[str]
    error: Floats
    replicate: Sequence[Hashable]
    """What cells of one partition share (analysis/replicates.py)."""
    pretraining: Sequence[Hashable] | None = None
    """What cells that start from one pre-training share; None: every cell has its own."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, values in (("error", self.error), ("n_ft", self.n_ft)):
            if bad := [value for value in values.tolist() if not (math.isfinite(value) and value > 0)]:
                raise FitError(f"{name} of a cell: expected a number above 0, got {bad[0]:g}")
        if not len(self.error):
            raise FitError("no measured cell")
        if not (np.isfinite(self.n_pre).all() and (self.n_pre >= 0).all()):
            raise FitError("n_pre of a cell: expected a number, 0 or above")
        for way, members in self.members.items():
            if len(np.unique(self.n_pre[members] > 0)) > 1:
                raise FitError(f"{way}: cells with and without auxiliary labels are two ways, not one")

    @cached_property
    def members(self) -> dict[Way, NDArray[np.int64]]:
        """Return way -> its cells."""
        found: dict[Way, list[int]] = {}
        for place, (strategy, method) in enumerate(zip(self.strategy, self.method, strict=True)):
            found.setdefault(Way(strategy, method), []).append(place)
        return {way: np.array(places, dtype=np.int64) for way, places in found.items()}

    @property
    def replicates(self) -> int:
        """Return how many there are."""
        return len(set(self.replicate))

    def only(self, kept: NDArray[np.bool_]) -> MeasuredCells:
        """Return some of the cells, (N,) true."""
        return MeasuredCells(
            n_pre=self.n_pre[kept],
            n_ft=self.n_ft[kept],
            method=list(compress(self.method, kept)),
            strategy=list(compress(self.strategy, kept)),
            error=self.error[kept],
            replicate=list(compress(self.replicate, kept)),
            pretraining=None if self.pretraining is None else list(compress(self.pretraining, kept)),
        )
