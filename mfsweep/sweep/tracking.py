"""A run's mirror in MLflow: opened before anything runs, told at the end what came out."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console

from mfsweep.prepare import Plan
from mfsweep.quantities import count
from mfsweep.run.databases import MlflowTables, whole
from mfsweep.run.mlflow_experiment import SPEC, prepare_mlflow, reason
from mfsweep.run.progress import waiting
from mfsweep.run.rebuild import rebuild, unmirrored
from mfsweep.run.store_tracking import open_or_go_on
from mfsweep.run.tracking import Tracker, Untracked
from mfsweep.store.sqlite_uris import placed
from mfsweep.sweep.came_out import CameOut

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
"""MLflow's own environment variable, in place of `tracking.uri`."""


@dataclass
class Tracked:
    """The mirror of a run, and what it is to be told at the end."""

    tracker: Tracker | Untracked
    status: Literal["FINISHED", "FAILED", "KILLED"] = "KILLED"
    artifacts: list[Path] = field(default_factory=list)
    came_out: CameOut = field(default_factory=CameOut)


@contextlib.contextmanager
def loading(plan: Plan, uri: str | None) -> Iterator[None]:
    """Load MLflow, and make the store's own file where there is none, in a thread beside the body.

    What goes wrong there is met again, and said, when the tracker is opened.
    """

    def load() -> None:
        with contextlib.suppress(Exception):
            prepare_mlflow()
            if uri is None and not os.path.lexists(plan.store.tracking_database):
                with whole(plan.store.tracking_database, MlflowTables()):
                    pass

    thread = threading.Thread(target=load, name="mfsweep-mlflow")
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextlib.contextmanager
def tracked(plan: Plan, uri: str | None, console: Console) -> Iterator[Tracked]:
    """Open the tracker before anything runs; close it with what the body left as status and artifacts.

    Raises:
        TrackingError: the server that the user has named cannot be used. The store's own file never ends a run.
    """
    with waiting(console, "Opening MLflow ..."):
        tracker = _opened_tracker(plan, uri, console)
    open_one = Tracked(tracker)
    try:
        yield open_one
    finally:
        told = open_one.came_out
        lost_here = tracker.close(
            open_one.status, open_one.artifacts, tags=told.tags, metrics=told.metrics, view=told.view
        )
        for lost in lost_here:
            console.print(f"MLflow: {lost}", style="yellow")


def _opened_tracker(plan: Plan, uri: str | None, console: Console) -> Tracker | Untracked:
    params = {"spec": str(plan.spec.document.path), **plan.summary(), **plan.spec.experiment.resources.identity()}
    per_decade = plan.spec.experiment.tracking.steps_per_decade
    store = plan.store
    if uri is None:

        def say(text: str) -> None:
            console.print(f"MLflow: {text}", style="yellow", soft_wrap=True, markup=False)

        return open_or_go_on(store, plan.name, say, sweep=plan.name, params=params, steps_per_decade=per_decade)
    return Tracker.open(
        uri,
        plan.name,
        sweep=plan.name,
        params=params,
        artifacts=store.artifacts,
        steps_per_decade=per_decade,
        guard=store.tracking_guard,
        given=_where_given(plan, uri),
        abandoned=store.is_abandoned,
    )


def _where_given(plan: Plan, uri: str) -> str:
    """Return where the user has named a tracking URI."""
    if uri == os.environ.get(TRACKING_VARIABLE):
        return TRACKING_VARIABLE
    return SPEC if uri == uri_of_spec(plan) else "--tracking-uri"


def uri_of_spec(plan: Plan) -> str | None:
    """Return a spec's tracking URI; a relative path in it starts at the spec's folder."""
    given = plan.spec.experiment.tracking.uri
    return given and placed(given, plan.spec.document.path.absolute().parent)


def mirror_others(plan: Plan, among: Sequence[Plan], console: Console) -> None:
    """Show the store's earlier sweeps in a file that was made anew; what goes wrong there is no failure of this run."""
    own = {one.name for one in among}

    def say(text: str) -> None:
        console.print(f"MLflow: {text}", soft_wrap=True, markup=False)

    try:
        if others := [name for name in unmirrored(plan.store) if name not in own]:
            what = f"{plan.store.tracking_database.name} lacks {count(len(others), 'earlier sweep')} of this store"
            say(f"{what}, written into it from the records now. Ctrl-C leaves that to `mfsweep track rebuild`")
            rebuild(plan.store, say, others)
    except KeyboardInterrupt:
        say("the rest is left to `mfsweep track rebuild`")
    except Exception as error:  # noqa: BLE001  a mirror ends no run, whatever goes wrong in it
        say(f"the earlier sweeps are not complete: {reason(error)}")
