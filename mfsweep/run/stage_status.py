"""Where a stage stands in a run, and the keys of the results by which its trial tells it."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a stage stands in this run."""

    WAITING = "waiting"
    """A parent is not done."""
    READY = "ready"
    HELD = "held"
    """Another sweep performs it; or it is done, and the store does not show that yet."""
    RUNNING = "running"
    """Handed to Tune; it may still wait for a worker."""
    DONE = "done"
    REUSED = "reused"
    """Done before this run began, or by another sweep meanwhile."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """An ancestor failed, or its point was given up before it began."""
    PRUNED = "pruned"
    """A search gave it up while it was trained; its checkpoint stays."""
    STOPPED = "stopped"
    """Cut short by an interrupt: it goes on in the next run."""


BEGUN = "begun"
"""Key of the first result that a trial reports, when its stage has all its workers; the value is the trial's node."""
ENDED = "ended"
"""Key of the last result that a trial reports, whether its stage went well or failed."""
CLAIMED = "claimed"
"""Beside `ENDED`: another sweep performs the stage, and the trial has done nothing."""
STOPPED = "stopped"
"""Beside `ENDED`: the run is to end, and the trial has saved the stage's state."""
GIVEN_UP = "given_up"
"""Beside `ENDED`: a search has given the stage up, and the trial has left it there."""
PERFORMED = "performed"
"""Beside `ENDED`: the stage is done, as its trial has seen; a network file system may show that later elsewhere."""
FAILURE = "failure"
"""Beside `ENDED`: why the stage has failed."""
LOST = "lost"
"""Key of a result that says which workers the stage has lost, and why; it goes on from its last checkpoint."""
PAUSED = "paused"
"""Key of a result that says why the stage waits."""
