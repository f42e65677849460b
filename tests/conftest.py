"""Fixtures that several test folders share."""

from __future__ import annotations

import ast
import functools
import gc
import os
import shutil
import sys

# Before anything imports NumPy or torch: with one thread, sums come out the same each time and workers do not
# fight for cores. Ray's and MLflow's calls home are off, for their child processes too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
# Some machines ask Python to keep nothing compiled: each of some hundred processes would compile mfsweep anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from mfsweep.imports import uncollected
from mfsweep.store import StoreFolder

sys.dont_write_bytecode = False  # pytest keeps the tests compiled, too
# How long an example takes tells of the machine: on one with other work a test fails by the clock alone.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("quick")

MEMORY = "/dev/shm"
"""A file system in memory, for temporary files: most of what they cost on a disk is the wait for its commits."""
ROOM = 4 << 30
"""Bytes that it has to have free."""
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

LOGICAL_CPUS = 4
"""CPUs that the test cluster claims, whatever the machine has: a four-worker group must find room."""


class _ClusterFirst(LoadScopeScheduling):
    """One process begins with the files that start Ray, all others with the rest; who is done first helps the others.

    So one cluster serves nearly all of Ray's tests, and no process is idle before the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what is given to one process: a test, or all tests of a file that share what it makes for them."""
        file, *_ = nodeid.split("::")
        return f"{file} {self._starts_ray(nodeid)}" if _shares(self.config.rootpath / file) else nodeid

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Move what a process would rather take to the front, from which it is taken; a helper takes from the end."""
        wants_ray = node is self.nodes[0]
        own = (scope for scope, tests in self.workqueue.items() if self._starts_ray(next(iter(tests))) == wants_ray)
        self.workqueue.move_to_end(next(own, None) or next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forget what is done: xdist counts what is left of all that a process was ever given, at each test."""
        super().mark_test_complete(node, item_index, duration)
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(self.assigned_work[node][scope].values()):
            del self.assigned_work[node][scope]

    def _starts_ray(self, nodeid: str) -> bool:
        file, name, *_ = nodeid.split("::")
        marked = _marked(self.config.rootpath / file)
        return marked is None or name.partition("[")[0] in marked


@functools.cache
def _shares(file: Path) -> bool:
    """Return whether a file's tests share a fixture of its own."""
    return 'scope="module"' in file.read_text(encoding="utf-8")


@functools.cache
def _marked(file: Path) -> frozenset[str] | None:
    """Return the names of a file's tests that start Ray; None: all of them."""
    text = file.read_text(encoding="utf-8")
    if "mark.cluster" not in text:
        return frozenset()
    marked = [node for node in ast.parse(text).body if "mark.cluster" in ast.unparse(node)]
    if any(isinstance(node, ast.Assign) for node in marked):
        return None
    return frozenset(node.name for node in marked if isinstance(node, ast.FunctionDef))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among the modules and tests that are collected, then or later: they stay."""
    with uncollected():
        result = yield
        gc.freeze()
        return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Share the tests out (xdist's own groups do nothing with pytest 9.2)."""
    return _ClusterFirst(config, log)


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
        # As nice as we are, as a run's own cluster is: else the other tests would go before the workers.
        _system_config={"worker_niceness": 0},
    )
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have each test that starts processes of Ray's, or does harm to a run, leave none of them and no placement group."""
    if not any(map(request.node.get_closest_marker, ("cluster", "drill"))):
        yield
        return
    from left_behind import no_process_left

    with no_process_left():
        yield
    if "ray_cluster" in request.fixturenames:
        import ray
        from clusters import until
        from ray.util.placement_group import placement_group_table

        if ray.is_initialized():
            until(lambda: all(group["state"] == "REMOVED" for group in placement_group_table().values()))


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test's sweeps trained in its own process: for tests of which neither Ray nor Tune is the subject."""
    from without_ray import run_in_process

    run_in_process(monkeypatch)


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
