"""Fixtures that several test folders share."""

from __future__ import annotations

import functools
import os

# Before anything imports NumPy or torch: with one thread, sums come out the same each time and workers do not
# fight for cores. Ray's and MLflow's calls home are off, for their child processes too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from mfsweep.store import StoreFolder

LOGICAL_CPUS = 4
"""CPUs that the test cluster claims, whatever the machine has: a four-worker group must find room."""


class _OneCluster(LoadScopeScheduling):
    """Gives all files with tests that start Ray to one process, and first, for they are most of the work."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "cluster" if _starts_ray(self.config.rootpath / file) else nodeid


@functools.cache
def _starts_ray(file: Path) -> bool:
    return "mark.cluster" in file.read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Share the tests out so that one cluster is enough (xdist's own groups do nothing with pytest 9.2)."""
    return _OneCluster(config, log)


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
def store(tmp_path: Path) -> StoreFolder:
    """Make an empty store, ready to be written."""
    made = StoreFolder(tmp_path / "store")
    made.prepare()
    return made


SPEC = """\
name: small
data:
  source: bundled:mini-ccx
  labels:
    cc: {energy: "ccsd(t)_631gd.energy"}
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
    xtb: {energy: "gfn2_xtb.energy", forces: "gfn2_xtb.forces"}
  splits:
    a: {size: 60, validation: 20, needs: [cc, dft]}
    t: {size: 40, needs: [cc, dft]}
    b: {size: rest, validation: 20, needs: [dft]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
axes:
  pretrain_size: [0, 20, 40]
  finetune_size: [20, 60]
stages:
  pretrain:
    train: [{labels: dft, subset: b, size: "${pretrain_size}"}]
    max_steps: 4
    validate_every: 2
  finetune:
    start_from: pretrain
    train: [{labels: cc, subset: a, size: "${finetune_size}"}]
    max_steps: 4
    validate_every: 2
    continued: {learning_rate: 1.0e-4}
result: finetune
evaluate: [{labels: cc, subset: t}]
fits:
  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}
resources: {workers: 1, gpus_per_worker: 0}
"""
"""A sweep of seconds, on real labels."""


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes the small spec with some of its text replaced: `write_spec(("old", "new"), ...)`."""

    def write(*changes: tuple[str, str], name: str = "small.yaml") -> Path:
        text = SPEC
        for old, new in changes:
            assert old in text, f"the small spec has no {old!r}"
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
