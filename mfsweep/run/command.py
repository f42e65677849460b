"""`mfsweep run` from the plan to the last line on the screen."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import ray
from rich.console import Console

from mfsweep import show
from mfsweep.errors import FitError, StoreError
from mfsweep.plan.graph import smoke_graph
from mfsweep.prepare import Plan
from mfsweep.run import cluster, sweep
from mfsweep.run.progress import Display
from mfsweep.run.sweep import Summary
from mfsweep.run.tracking import Tracker
from mfsweep.store import Store, write_text


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


def run(plan: Plan, console: Console, tracking_uri: str | None) -> Summary:
    """Train what the store lacks, fit, report, and say what came out and how to go on.

    Raises:
        ResourceError: the cluster can never serve a stage.
        TrackingError: the tracking server cannot be used.
    """
    plan.store.prepare()
    resources = plan.spec.experiment.resources
    slots = _connect(plan, console)
    folder = plan.store.sweep(plan.name)
    write_text(folder.spec, plan.spec.document.text)
    folder.write_cells(plan.cells())
    uri = tracking_uri or plan.spec.experiment.tracking.uri
    tracker = Tracker.open(
        uri or plan.store.tracking_uri,
        plan.name,
        sweep=plan.name,
        params={"spec": str(plan.spec.document.path), **plan.summary(), **resources.identity()},
        artifacts=None if uri else plan.store.artifacts,
    )
    status = "KILLED"
    pictures: list[str] = []
    try:
        with Display(console, plan.graph, plan.done) as display:
            summary = sweep.run(plan, resources, slots, display, tracker)
        status = "KILLED" if summary.interrupted else "FAILED" if summary.failed else "FINISHED"
        pictures = _results(plan, console, summary)
    finally:
        artifacts = [path for path in (folder.spec, folder.report, *map(Path, pictures)) if path.exists()]
        for lost in tracker.close(status, artifacts):
            console.print(f"MLflow: {lost}", style="yellow")
    _say_end(plan, console, summary)
    return summary


def smoke(plan: Plan, console: Console) -> int:
    """Run a few steps and one evaluation of each kind of stage in a store that is thrown away; return the exit code."""
    graph = smoke_graph(plan.graph)
    with tempfile.TemporaryDirectory(prefix="mfsweep-smoke-") as folder:
        small = replace(plan, graph=graph, store=Store(Path(folder)), done=frozenset())
        small.store.prepare()
        slots = _connect(small, console)
        tracker = Tracker.open(
            small.store.tracking_uri, plan.name, sweep="smoke", artifacts=small.store.artifacts
        )
        try:
            with Display(console, graph, frozenset()) as display:
                summary = sweep.run(small, plan.spec.experiment.resources, slots, display, tracker)
        finally:
            tracker.close("FINISHED")
        for failure in summary.failures:
            console.print(f"failed: {failure.stage}\n{failure.log.read_text()}", style="red")
    console.print(f"smoke: {summary.run} of {len(graph.nodes)} stages ran, {summary.failed} failed; nothing was kept")
    return summary.exit_code


def _connect(plan: Plan, console: Console) -> int:
    resources = plan.spec.experiment.resources
    where = cluster.connect(dashboard=resources.workers > 1)
    slots = cluster.slots(resources)
    console.print(f"On {where}: {slots} stage{'s' if slots > 1 else ''} at a time.")
    return slots


def _results(plan: Plan, console: Console, summary: Summary) -> list[str]:
    """Print the laws and write the sweep's files; return the pictures' paths."""
    if summary.interrupted:
        return []
    shown = show.analyse(plan)
    try:
        shown.print(console)
        shown.write_points()
        pictures = shown.write_figures()
        console.print(f"Report: {shown.write_report()}", soft_wrap=True)
    except FitError as error:
        console.print(f"no fit: {error}", style="yellow")
        return []
    return pictures


def _say_end(plan: Plan, console: Console, summary: Summary) -> None:
    spec = plan.spec.document.path
    for failure in summary.failures:
        console.print(f"failed: {failure.stage}, see {failure.log}", style="red", soft_wrap=True)
    console.print(
        f"{summary.run} stages run, {summary.reused} reused, {summary.failed} failed"
        + (f", {summary.skipped} not run because of that" if summary.skipped else "")
    )
    if summary.interrupted:
        console.print(f"Interrupted. Go on with: mfsweep run {spec}", soft_wrap=True)
    elif summary.failed:
        console.print(f"Run it again to try the failed stages once more: mfsweep run {spec}", soft_wrap=True)
    else:
        console.print("Next: `mfsweep ui` compares the runs; add a value to an axis and run again: only that is new.")
    if ray.is_initialized():
        ray.shutdown()
