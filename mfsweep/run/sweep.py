"""A plan becomes records: the queue, Ray Tune, the display and the tracker put together."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from mfsweep.imports import uncollected
from mfsweep.models.overlay import PINS, overlay_path
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.records import UntilRecord
from mfsweep.run import cluster, disk, leaving, orphans
from mfsweep.run.courier import Courier, couriered
from mfsweep.run.growing import Growing
from mfsweep.run.job import Job
from mfsweep.run.mirror import Mirror
from mfsweep.run.progress import SweepDisplay, describe
from mfsweep.run.room import Room, shape_of
from mfsweep.run.signals import as_interrupts
from mfsweep.run.stage_queue import StageQueue
from mfsweep.run.stage_status import Status
from mfsweep.run.tracking import Tracker, Untracked
from mfsweep.run.turns import Turns
from mfsweep.run.watcher import SweepWatcher, take_in
from mfsweep.spec.stage import Training

STALE_SECONDS = 86400.0
"""Age of what a killed sweep left in the scratch folder, at which the next one removes it."""
IDLE_SECONDS = 1.0
"""How long a process of a stage waits for the next one."""
INTERRUPTED = 130
"""Exit code of a process that SIGINT ended, by the shells' convention."""


@dataclass(frozen=True)
class Failure:
    """A stage that failed in this run, or was not run because an ancestor did."""

    key: str
    stage: str
    log: Path
    reason: str

    def as_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"key": self.key, "stage": self.stage, "reason": self.reason, "log": str(self.log)}


@dataclass(frozen=True)
class RunSummary:
    """How a run ended, in stages."""

    run: int
    reused: int
    failed: int
    skipped: int
    """Not run because an ancestor failed, or because their point was given up."""
    interrupted: bool
    failures: tuple[Failure, ...]
    not_run: tuple[Failure, ...] = ()
    """Those that `skipped` counts."""
    given_up: tuple[Failure, ...] = ()
    """Those that a search's pruner ended; no failures."""
    full: bool = False
    """Whether a full disk ended it."""
    until: UntilRecord | None = None
    """What a run until a condition chose and saw, and how it ended."""

    @property
    def pruned(self) -> int:
        """Return how many stages a search's pruner ended."""
        return len(self.given_up)

    @property
    def exit_code(self) -> int:
        """Return 130 after an interrupt, 1 when a stage failed or the disk was full, else 0."""
        return INTERRUPTED if self.interrupted else int(self.failed > 0 or self.full)


def run(
    plan: Plan,
    room: Room | None,
    display: SweepDisplay,
    tracker: Tracker | Untracked,
    growing: Growing | None = None,
    seconds: Callable[[Training], float] = lambda _: 1.0,
) -> RunSummary:
    """Run every stage of a plan that has no record, once, parents first.

    Args:
        plan: what to run; of one that grows, `growing.plan` as it is now.
        room: what the cluster has room for; None where nothing is to be trained.
        display: shows it.
        tracker: mirrors it; open.
        growing: adds to the plan as stages come to an end.
        seconds: what a stage is expected to take of one device, in any unit: the longest chain goes first.

    Raises:
        ResourceError: the cluster's autoscaler has come to say that it can never serve a stage.
    """
    with couriered(plan.store, display.say) as courier:
        return _run(plan, room, display, tracker, growing, seconds, courier)


def _run(
    plan: Plan,
    room: Room | None,
    display: SweepDisplay,
    tracker: Tracker | Untracked,
    growing: Growing | None,
    seconds: Callable[[Training], float],
    courier: Courier | None,
) -> RunSummary:
    store, kinds = plan.store, dict[object, int]()
    mirror = Mirror(tracker, plan.graph, store)
    scratch = store.scratch / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"

    def now() -> Plan:
        return growing.plan if growing else plan

    def node(key: str) -> Node:
        return now().graph.nodes[key]

    def config(key: str) -> dict[str, Any]:
        judged = growing is not None and growing.has_pruner
        job = _job(now(), node(key), judged=judged)
        return {"job": job.model_dump(mode="json"), "scratch": str(scratch)}

    def holds(key: str) -> PlacementGroupFactory:
        own, architecture = node(key).resources, node(key).training.model.architecture
        kind = kinds.setdefault((own, architecture in PINS), len(kinds))
        return cluster.trial_resources(own, architecture, kind)

    def supply(ended: Sequence[str]) -> dict[str, str | None]:
        if growing:
            growing.advance(ended)
            display.grow(growing.plan.graph, growing.progress)
            mirror.grow(growing.plan.graph)
        return _parents(now())

    turns = Turns(store, courier, lambda key: now().is_done(key))
    queue = StageQueue(
        _parents(plan),
        config,
        holds,
        lambda key: shape_of(node(key).resources),
        room,
        lambda key: now().is_done(key),
        turns.is_held,
        lambda key: node(key).resources.max_failures,
        supply if growing else None,
        growing.is_spared if growing else lambda _: False,
        lambda key: turns.take(key, node(key).parent),
        lambda key: seconds(node(key).training) / node(key).resources.workers,
    )
    turns.begin(plan.done)
    for key, status in queue.status.items():
        if status is Status.REUSED:
            take_in(store.stage(key), mirror)
    full = False
    if not queue.is_complete:
        assert room is not None, "there is something to train"
        watcher = SweepWatcher(
            queue,
            room,
            display,
            mirror,
            store,
            growing.judge if growing else None,
            courier,
            lambda: leaving.stop(scratch),
        )
        full = _tune(queue, watcher, scratch, in_groups=lambda: now().in_groups)
    return _summary(queue, now(), growing, full=full)


def _summary(queue: StageQueue, plan: Plan, growing: Growing | None, *, full: bool) -> RunSummary:
    counts = {status: sum(s is status for s in queue.status.values()) for status in Status}
    failures: dict[str, Failure] = {}
    not_run: list[Failure] = []
    given_up: list[Failure] = []
    for key, status in queue.status.items():  # parents first
        folder, name = plan.store.stage(key), describe(plan.graph.nodes[key])
        if status is Status.FAILED:
            failures[key] = Failure(key, name, folder.log, folder.failure() or "it ended without a word")
        elif status is Status.SKIPPED:
            above = next((one for one in plan.graph.lineage(key) if one.key in failures), None)
            log = failures[above.key].log if above else folder.log
            why = f"{describe(above)} failed" if above else f"its point was {_why(growing, key)}"
            not_run.append(Failure(key, name, log, why))
        elif status is Status.PRUNED:
            given_up.append(Failure(key, name, folder.log, _why(growing, key)))
    return RunSummary(
        run=counts[Status.DONE],
        reused=counts[Status.REUSED],
        failed=counts[Status.FAILED],
        skipped=counts[Status.SKIPPED],
        interrupted=not queue.is_complete and not full,
        failures=tuple(failures.values()),
        not_run=tuple(not_run),
        given_up=tuple(given_up),
        full=full,
    )


def _why(growing: Growing | None, key: str) -> str:
    assert growing is not None, "only a search gives stages up"
    return growing.why_spared(key)


def _parents(plan: Plan) -> dict[str, str | None]:
    return {key: node.parent for key, node in plan.graph.nodes.items()}


def _tune(queue: StageQueue, watcher: SweepWatcher, scratch: Path, *, in_groups: Callable[[], bool]) -> bool:
    """Train; return whether that was broken off while the disk was full.

    Stages that meet a full disk wait for room, until the user has waited enough. Tune itself does not.
    """
    _remove_stale(scratch.parent)
    scratch.mkdir(parents=True)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # it logs every failed trial's traceback; the log has it
    tuner = tune.Tuner(
        _trial,
        tune_config=tune.TuneConfig(search_alg=queue, scheduler=_InOrder(), num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=[watcher],
            stop=watcher,
            # In a notebook Tune would take its own, which wipes what was said below the cell.
            progress_reporter=tune.CLIReporter(),
        ),
    )
    try:
        with as_interrupts():  # once more: Ray has put a handler of its own in the place of the command's
            tuner.fit()
        full = not queue.is_complete and disk.is_full(scratch)
    except Exception as error:
        full = disk.is_why(error) or disk.is_full(scratch)
        if not full:
            raise
    finally:
        if in_groups():
            orphans.release_at_end()
        shutil.rmtree(scratch, ignore_errors=True)
    if watcher.refused:
        raise watcher.refused
    return full


def _remove_stale(scratch: Path) -> None:
    """Remove the folders of sweeps that were killed; one that goes on writes a snapshot every hour."""
    for folder in scratch.glob("*"):
        with contextlib.suppress(OSError):  # another sweep's, which ends at this moment
            latest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            if time.time() - latest > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _trial(config: dict[str, Any]) -> None:
    """Run one stage. The driver, which may sit on a small head node, never imports torch for it."""
    with uncollected():
        from mfsweep.run.trial import run_stage

    run_stage(config)


class _InOrder(FIFOScheduler):
    """Leaves the choice to Tune's own pass over pending trials: the queue has put them in order already.

    Tune keeps the last process without a stage for the next one, with its workers' place, as long as the run lasts: a
    larger stage, or another run, would wait for that place. So it is let go where nothing comes.
    """

    _idle: float | None = None
    """Since when a process waits for a stage."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        controller = tune_controller._tune_controller  # noqa: SLF001 (what is given here lacks it)
        held = [holds for holds, kept in controller._actor_cache._cached_objects.items() if kept]  # noqa: SLF001
        # One on the head, that of a worker group, holds nothing that others need.
        if not any(cluster.holds_workers_place(holds) for holds in held) or controller._pending_trials:  # noqa: SLF001
            self._idle = None
        elif self._idle is None:
            self._idle = time.monotonic()
        elif time.monotonic() - self._idle > IDLE_SECONDS:
            controller._cleanup_cached_actors(force_all=True)  # noqa: SLF001
        return None


def _job(plan: Plan, node: Node, *, judged: bool = False) -> Job:
    return Job(
        name=node.name,
        training=node.training,
        data=plan.data(node),
        sources={name: str(path) for name, path in plan.sources.items()},
        parent_file=str(plan.files[node.training.file]) if node.training.file else None,
        store=str(plan.store.root),
        evaluations=tuple(node.evaluations),
        resources=node.resources,
        execution=plan.spec.experiment.execution,
        judged=judged,
        overlay=str(path) if (path := overlay_path(node.training.model.architecture)) else None,
    )
