"""What a cluster has room for, and what a driver passes on to it."""

import json

import pytest
from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

from mfsweep.errors import ResourceError
from mfsweep.run import cluster
from mfsweep.run.cluster import slots, trial_resources
from mfsweep.spec.resources import Resources


@pytest.fixture
def cluster_of(monkeypatch):
    """Give a function that puts nodes, and an autoscaler's configuration, in place of Ray's."""

    def put(*nodes, config=None):
        there = {}
        for node in nodes:
            for name, amount in node.items():
                there[name] = there.get(name, 0) + amount
        monkeypatch.setattr(cluster.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
        monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: there)
        monkeypatch.setattr(cluster.state.state, "get_cluster_config", lambda: config)

    return put


def of(workers, cpus, gpus=0):
    return Resources(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus)


def test_a_worker_must_fit_on_one_node(cluster_of):
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    assert slots(of(1, 4)) == 2
    with pytest.raises(ResourceError, match=r"1 worker\(s\) of 8 CPU, each on one node \(its nodes have room for 0\)"):
        slots(of(1, 8))


def test_workers_are_counted_node_by_node(cluster_of):
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    assert slots(of(2, 3)) == 1
    with pytest.raises(ResourceError, match="have room for 2"):
        slots(of(3, 2.5))
    cluster_of({"CPU": 0.3})
    assert slots(of(1, 0.1)) == 3


def test_a_node_that_has_the_gpus_but_not_the_cpus_counts_for_nothing(cluster_of):
    cluster_of({"CPU": 1.0, "GPU": 4.0}, {"CPU": 16.0})
    assert slots(of(1, 1, 1)) == 1


def test_nodes_that_the_autoscaler_may_start_count_within_its_limits(cluster_of):
    gpu4 = NodeGroupConfig(resources={"CPU": 16, "GPU": 4}, max_count=3, name="gpu4")
    head = {"CPU": 0.0}
    cluster_of(head, config=ClusterConfig(node_group_configs=[gpu4]))
    assert slots(of(4, 1, 1)) == 3
    cluster_of(head, config=ClusterConfig(node_group_configs=[gpu4], max_resources={"GPU": 8}))
    assert slots(of(4, 1, 1)) == 2
    cluster_of(head, config=ClusterConfig(node_group_configs=[gpu4]))
    with pytest.raises(ResourceError, match="room for 0"):
        slots(of(1, 17))


def test_tune_reuses_a_trials_process_for_the_same_architecture_only():
    one, four = of(1, 1), of(4, 1)
    assert trial_resources(one, "mace") == trial_resources(one, "mace") != trial_resources(one, "allegro")
    assert trial_resources(one, "mace").bundles == trial_resources(one, "allegro").bundles == [{"CPU": 1}]
    assert trial_resources(four, "mace") == trial_resources(four, "allegro"), "it imports no model"


def test_a_variable_that_the_job_sets_is_left_to_the_job(monkeypatch):
    assert cluster._worker_settings().keys() >= {"OMP_NUM_THREADS", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"}
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "8"}}})
    )
    left = cluster._worker_settings()
    assert "OMP_NUM_THREADS" not in left
    assert "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S" in left


@pytest.mark.parametrize("job", [{}, {"runtime_env": None}, {"runtime_env": {"working_dir": "gcs://x.zip"}}])
def test_a_job_that_sets_no_variables_gets_all_of_ours(monkeypatch, job):
    ours = cluster._worker_settings()
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert cluster._worker_settings() == ours


@pytest.mark.cluster
def test_a_group_whose_creator_was_killed_is_given_back(ray_cluster):
    import ray
    from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

    @ray.remote(num_cpus=0)
    class Controller:
        def make(self):
            return placement_group([{"CPU": 1000}])  # pending for ever

    keeps, dies = Controller.remote(), Controller.remote()
    kept, lost = ray.get([keeps.make.remote(), dies.make.remote()])
    ours = placement_group([{"CPU": 1}])
    ray.kill(dies)
    deadline = cluster.time.monotonic() + 20
    while not cluster.release_orphaned_groups() and cluster.time.monotonic() < deadline:
        cluster.time.sleep(0.1)
    assert placement_group_table(lost)["state"] == "REMOVED"
    assert placement_group_table(kept)["state"] == "PENDING", "its creator lives"
    assert placement_group_table(ours)["state"] != "REMOVED", "made by the driver, as Tune makes those of its trials"
    remove_placement_group(kept)
    remove_placement_group(ours)
