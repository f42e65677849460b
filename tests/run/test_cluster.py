"""What a driver passes on to a cluster, and what trials hold."""

import json

import pytest

from mfsweep.run import cluster
from mfsweep.run.cluster import trial_resources
from mfsweep.spec.resources import Resources


def of(workers, cpus, gpus=0):
    return Resources(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus)


def test_tune_reuses_a_trials_process_for_the_same_architecture_only():
    one, four = of(1, 1), of(4, 1)
    assert trial_resources(one, "mace") == trial_resources(one, "mace") != trial_resources(one, "allegro")
    assert trial_resources(one, "mace").bundles == trial_resources(one, "allegro").bundles == [{"CPU": 1}]
    assert trial_resources(four, "mace") == trial_resources(four, "allegro"), "it imports no model"


def test_tune_reuses_the_process_of_a_worker_group_for_groups_of_its_kind_only():
    large, small = trial_resources(of(4, 1), "mace", 0), trial_resources(of(2, 1), "mace", 1)
    assert large != small
    assert trial_resources(of(2, 1), "mace", 1) == small
    assert not cluster.holds_workers_place(small)
    assert cluster.holds_workers_place(trial_resources(of(1, 1), "mace"))


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
