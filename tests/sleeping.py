"""Sweeps whose stages sleep in place of being trained; all else is what `mfsweep run` does.

As a command it runs one on the cluster of RAY_ADDRESS:

    python tests/sleeping.py SPEC STORE SECONDS
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:  # a command's first second, and what a trial is sent, need none of them
    from mfsweep.prepare import Plan
    from mfsweep.run.sweep import RunSummary
    from mfsweep.run.tracking import Tracker, Untracked

SPEC = """\
name: sleeping
data:
  source: bundled:mini-ccx
  labels:
    xtb: {energy: "gfn2_xtb.energy"}
  splits:
    a: {size: 400, validation: 20}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8]}
axes:
  seed: SEEDS
stages:
  first:
    train: [{labels: xtb, subset: a, size: 20}]
    max_steps: 100
    resources: FIRST
  second:
    start_from: first
    train: [{labels: xtb, subset: a, size: 40}]
    max_steps: 100
    resources: SECOND
result: second
resources: {workers: 1, gpus_per_worker: 0}
"""


def write(path: Path, seeds: range, first: str = "{}", second: str = "{}") -> Path:
    """Write a spec: for each seed a stage and its child, which have resources of their own."""
    path.write_text(SPEC.replace("SEEDS", str([*seeds])).replace("FIRST", first).replace("SECOND", second))
    return path


def swept(plan: Plan, seconds: float, tracker: Tracker | Untracked | None = None) -> RunSummary:
    """Run a plan on the cluster that this process is connected to; its stages sleep for so long."""
    from rich.console import Console

    from mfsweep.plan.kinds import kinds
    from mfsweep.run import sweep
    from mfsweep.run.progress import SweepDisplay
    from mfsweep.run.room import Room
    from mfsweep.run.tracking import Untracked

    plan.store.prepare()
    with (
        mock.patch.object(sweep, "_trial", _sleeping(seconds)),
        SweepDisplay(Console(file=io.StringIO(), width=120), plan.graph, plan.done) as display,
    ):
        room = Room(kinds(plan.graph.nodes.values()))
        try:
            return sweep.run(plan, room, display, tracker or Untracked())
        finally:
            room.leave()


def _sleeping(seconds: float) -> Callable[[dict[str, Any]], None]:
    """Return what Tune calls: within a function, so that it is sent by value."""

    def sleep(config: dict[str, Any]) -> None:
        """Leave a stage's record; its host is what Ray gave: to the trial where that is the worker, else to its group."""
        import contextlib
        import json
        import time
        import zipfile

        import ray
        from ray import tune
        from ray.util.placement_group import placement_group, remove_placement_group

        from mfsweep.records import BestCheckpoint, Record
        from mfsweep.run.cluster import worker_resources
        from mfsweep.run.job import Job
        from mfsweep.run.stage_status import BEGUN, ENDED

        job = Job.model_validate(config["job"])
        with job.folder.claim(), contextlib.ExitStack() as stack:
            given = dict(ray.get_runtime_context().get_assigned_resources())
            if job.resources.workers > 1:  # the places of a group of workers, without the workers
                each = worker_resources(job.resources)
                group = placement_group([each] * job.resources.workers)
                stack.callback(remove_placement_group, group)
                ray.get(group.ready())
                given = {name: amount * job.resources.workers for name, amount in each.items()}
            tune.report({BEGUN: ray.get_runtime_context().get_node_id()})
            began = time.time()
            time.sleep(seconds)
            best = BestCheckpoint(metric="validation.loss", step=100, value=1.0, file="checkpoints/selected.pt")
            job.folder.checkpoints.mkdir()
            zipfile.ZipFile(job.folder.selected, "w").close()  # a child is handed out where its parent's weights are
            job.folder.write_record(
                Record(
                    key=job.training.key, training=job.training.identity(), parent=job.training.parent, started=began,
                    seconds=seconds, steps=100, stop_reason="max_steps", selected=best, heads={"xtb": best},
                    metrics={"validation.xtb.energy_mae": 1.0}, offsets={}, shares=[], parameters=9, workers=1,
                    host=json.dumps(given), versions={},
                )
            )  # fmt: skip
        tune.report({ENDED: True})

    return sleep


def main() -> None:
    """Run a spec on the cluster of RAY_ADDRESS."""
    from mfsweep.prepare import prepare
    from mfsweep.run import cluster

    spec, store, seconds = sys.argv[1:]
    plan = prepare(Path(spec), Path(store))
    with cluster.connected(dashboard=False):
        sys.exit(swept(plan, float(seconds)).exit_code)


if __name__ == "__main__":
    main()
