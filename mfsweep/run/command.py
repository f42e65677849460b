"""`mfsweep run` from the plan to the last line on the screen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from mfsweep.errors import StoreError
from mfsweep.plan.graph import Graph, Node
from mfsweep.prepare import Plan
from mfsweep.run import cluster, sweep
from mfsweep.run.progress import Display
from mfsweep.run.sweep import Summary
from mfsweep.run.tracking import Tracker
from mfsweep.store import write_text

SMOKE_STEPS = 20


def refuse_relative_store(store: Path) -> None:
    """Refuse a store that a Ray job would lose.

    Raises:
        StoreError: a relative path inside a job, whose working folder Ray deletes.
    """
    if cluster.in_job() and not store.is_absolute():
        raise StoreError(
            f"--store {store}: inside a Ray job an absolute path on shared storage is expected: the job's working "
            "folder is Ray's own and is deleted. Pass --store /shared/..., or set MFSWEEP_STORE"
        )
