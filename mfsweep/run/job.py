"""One stage as plain data: what crosses from the sweep's driver to the process that performs it."""

from __future__ import annotations

from pathlib import Path

from mfsweep.spec.base import Frozen
from mfsweep.spec.data import ResolvedData
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, Training
from mfsweep.store import StageFolder, Store


class Job(Frozen):
    """What a Tune trial is given: one stage of the graph, with absolute paths."""

    name: str
    """The stage's name in the spec."""
    training: Training
    data: ResolvedData
    """`training.data` with the keys of every method that an evaluation may ask for."""
    source: str
    store: str
    evaluations: tuple[Evaluation, ...]
    resources: Resources

    @property
    def folder(self) -> StageFolder:
        """Return the stage's folder in the store."""
        return Store(Path(self.store)).stage(self.training.key)
