"""Stages of two shapes through the product's own queue on Ray Tune; trials that only sleep, in place of trainings."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from ray.tune import PlacementGroupFactory
from rich.console import Console

from mfsweep.plan.kinds import kinds
from mfsweep.prepare import prepare
from mfsweep.run import cluster, sweep
from mfsweep.run.progress import SweepDisplay
from mfsweep.run.room import Room
from mfsweep.run.tracking import Untracked
from mfsweep.spec.resources import Resources

SPEC = """\
name: shapes
data:
  source: bundled:mini-ccx
  labels:
    xtb: {{energy: "gfn2_xtb.energy"}}
  splits:
    a: {{size: 400, validation: 20}}
model: {{architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8]}}
axes:
  seed: [0, 1, 2]
stages:
  small:
    train: [{{labels: xtb, subset: a, size: 20}}]
    max_steps: 100
    resources: {{cpus_per_worker: {half}}}
  large:
    start_from: small
    train: [{{labels: xtb, subset: a, size: 40}}]
    max_steps: 100
result: large
resources: {{workers: 1, gpus_per_worker: 0, cpus_per_worker: {all}}}
"""


def sleeping():
    """Return what Tune calls in place of a training: within a function, so that it is sent by value."""

    def sleep(config):
        """Leave a stage's record."""
        import json
        import time
        import zipfile

        import ray
        from ray import tune

        from mfsweep.records import BestCheckpoint, Record
        from mfsweep.run.job import Job
        from mfsweep.run.stage_status import BEGUN, ENDED

        job = Job.model_validate(config["job"])
        with job.folder.claim():
            tune.report({BEGUN: ray.get_runtime_context().get_node_id()})
            began = time.time()
            time.sleep(0.1)
            best = BestCheckpoint(metric="validation.loss", step=100, value=1.0, file="checkpoints/selected.pt")
            job.folder.checkpoints.mkdir()
            zipfile.ZipFile(job.folder.selected, "w").close()
            job.folder.write_record(
                Record(
                    key=job.training.key, training=job.training.identity(), parent=job.training.parent, started=began,
                    seconds=time.time() - began, steps=100, stop_reason="max_steps", selected=best, heads={"xtb": best},
                    metrics={}, offsets={}, shares=[], parameters=9, workers=1,
                    host=json.dumps(dict(ray.get_runtime_context().get_assigned_resources())), versions={},
                )
            )  # fmt: skip
        tune.report({ENDED: True})

    return sleep


@pytest.mark.cluster
def test_stages_that_need_half_of_a_cluster_and_all_of_it_are_all_performed(ray_cluster, tmp_path, monkeypatch):
    import ray

    cpus = ray.cluster_resources()["CPU"]
    monkeypatch.setattr(sweep, "_trial", sleeping())
    spec = tmp_path / "shapes.yaml"
    spec.write_text(SPEC.format(half=cpus / 2, all=cpus))
    plan = prepare(spec, tmp_path / "store")
    plan.store.prepare()
    with (
        cluster.connected(dashboard=False),
        SweepDisplay(Console(file=io.StringIO()), plan.graph, plan.done) as display,
    ):
        room = Room(kinds(plan.graph.nodes.values()))
        summary = sweep.run(plan, room, display, Untracked())
        room.leave()
    assert (summary.run, summary.failed) == (6, 0)
    records = [plan.store.stage(key).record() for key in plan.graph.nodes]
    given = [json.loads(record.host)["CPU"] for record in records]
    assert sorted(given) == [cpus / 2] * 3 + [cpus] * 3
    spans = [(record.started, record.started + record.seconds, own) for record, own in zip(records, given, strict=True)]
    for started, *_ in spans:
        assert sum(own for begin, end, own in spans if begin <= started < end) <= cpus


class Controller:
    """What Tune's controller has of processes without a stage."""

    def __init__(self, holds):
        self._actor_cache = SimpleNamespace(_cached_objects={holds: [object()]})
        self._pending_trials = []
        self.emptied = []

    def _cleanup_cached_actors(self, force_all):
        self.emptied.append(force_all)


def test_a_process_without_a_stage_gives_back_its_place(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: now[0]))
    controller = Controller(PlacementGroupFactory([{"GPU": 1}]))
    order = sweep._InOrder()

    def look(at, pending=()):
        now[0], controller._pending_trials = at, list(pending)
        assert order.choose_trial_to_run(SimpleNamespace(_tune_controller=controller)) is None
        return len(controller.emptied)

    assert look(0.0) == look(0.9) == 0
    assert look(1.5, ["next"]) == look(1.6) == 0, "one that is to take it comes"
    assert look(3.0) == 1
    group = cluster.trial_resources(Resources(workers=2, gpus_per_worker=1), "mace", 1)
    controller = Controller(group)
    assert look(4.0) == look(9.0) == 0, "the place of a group on the head holds nothing"
