"""Stages of two shapes through the product's own queue on Ray Tune; trials that only sleep, in place of trainings."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import sleeping
from ray.tune import PlacementGroupFactory

from mfsweep.prepare import prepare
from mfsweep.run import cluster, sweep
from mfsweep.spec.resources import Resources


@pytest.mark.cluster
def test_stages_that_need_half_of_a_cluster_and_all_of_it_are_all_performed(ray_cluster, tmp_path):
    import ray

    cpus = ray.cluster_resources()["CPU"]
    half, whole = (f"{{cpus_per_worker: {own}}}" for own in (cpus / 2, cpus))
    plan = prepare(sleeping.write(tmp_path / "shapes.yaml", range(3), half, whole), tmp_path / "store")
    summary = sleeping.swept(plan, 0.1)
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
