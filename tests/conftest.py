"""Fixtures that several test folders share."""

from __future__ import annotations

import os

# Before anything imports NumPy or torch: with one thread, sums come out the same each time and workers do not
# fight for cores. Ray's and MLflow's calls home are off, for their child processes too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from collections.abc import Iterator
from pathlib import Path

import pytest

from mfsweep.store import Store

LOGICAL_CPUS = 4
"""CPUs that the test cluster claims, whatever the machine has: a four-worker group must find room."""


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Start one local Ray for the whole session; give its address."""
    import ray

    context = ray.init(
        num_cpus=LOGICAL_CPUS,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=128 * 1024**2,
        log_to_driver=False,
        configure_logging=False,
    )
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make an empty store, ready to be written."""
    made = Store(tmp_path / "store")
    made.prepare()
    return made
