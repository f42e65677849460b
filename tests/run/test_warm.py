import os
import sys

import pytest
import ray

from mfsweep.run.warm import warm
from mfsweep.spec.resources import Resources

ONE = Resources(workers=1, gpus_per_worker=0)


@pytest.mark.cluster
def test_the_process_that_was_warmed_becomes_the_next_actors(ray_cluster):
    @ray.remote
    class Trial:
        def seen(self):
            return os.getpid(), "mfsweep.run.trial" in sys.modules

    (process,) = ray.get(warm(ONE, 1))
    assert ray.get(Trial.remote().seen.remote()) == (process, True)


def test_on_a_cluster_of_several_nodes_nothing_is_started(monkeypatch):
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": False}, {"Alive": True}])
    assert warm(ONE, 3) == []


@pytest.mark.parametrize("resources", [ONE.but(workers=2), ONE.but(gpus_per_worker=0.5)])
def test_groups_and_gpu_stages_begin_cold(monkeypatch, resources):
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}])
    assert warm(resources, 3) == []
