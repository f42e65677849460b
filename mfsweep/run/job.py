"""One stage as plain data: what crosses from the sweep's driver to the process that performs it."""

from __future__ import annotations

from pathlib import Path

from mfsweep.spec.base import Bool, Frozen, PositiveInt
from mfsweep.spec.data import ResolvedData
from mfsweep.spec.execution import Execution
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, Training
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.store.lease import is_followed


class Job(Frozen):
    """What a Tune trial is given: one stage of the graph, with absolute paths."""

    name: str
    """The stage's name in the spec."""
    training: Training
    data: ResolvedData
    """`training.data` with every method that an evaluation may ask for."""
    sources: dict[str, str]
    """Name of the source -> its file; that of a single one is empty."""
    parent_file: str | None = None
    """The model file that the stage starts from in place of a parent stage; its digest is `training.file`."""
    store: str
    evaluations: tuple[Evaluation, ...]
    resources: Resources
    execution: Execution = Execution()
    judged: Bool = False
    """Whether a search may give it up: it then waits for a word at every validation."""
    lease: PositiveInt | None = None
    """Number of the lease by which its trial holds the stage (store/lease.py), once it does."""
    overlay: str | None = None
    """Folder of packages that goes in front of the workers' own, for an architecture that needs one."""

    @property
    def paths(self) -> dict[str, Path]:
        """Return the file of each source."""
        return {name: Path(path) for name, path in self.sources.items()}

    def is_over(self) -> bool:
        """Return whether there is nothing left to do of it: it is done, or a search has given it up."""
        return self.is_done() or (self.judged and self.folder.pruning() is not None)

    def is_done(self) -> bool:
        """Return whether it is trained, and has all the evaluations."""
        return self.folder.is_done([own.identity() for own in self.evaluations])

    def is_lost(self) -> bool:
        """Return whether another run has taken the stage over from its trial.

        Raises:
            OSError: the system does not let us look.
        """
        return self.lease is not None and is_followed(self.folder.path, self.lease)

    @property
    def folder(self) -> StageFolder:
        """Return the stage's folder in the store."""
        return StoreFolder(Path(self.store)).stage(self.training.key)
