"""A sweep of thirty stages on two nodes, under faults that a seed draws: it ends as the undisturbed one, bit for bit."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import psutil
import pytest
from clusters import Cluster, cluster, until
from mlflow_server import MlflowServer
from undisturbed import check_as_undisturbed

from mfsweep.store import StoreFolder

pytestmark = [pytest.mark.cluster, pytest.mark.drill]

SEEDS = [1, 2]
"""tests/README.md tells which have been run."""
STEPS = 60
SPEC = """\
name: chaos
data:
  source: bundled:mini-ccx
  labels:
    cc: {energy: "ccsd(t)_631gd.energy"}
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
  splits:
    a: {size: 60, validation: 10, needs: [cc, dft]}
    t: {size: 40, needs: [cc, dft]}
    b: {size: rest, validation: 20, needs: [dft]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
axes:
  pretrain_size: [20, 30, 40]
  finetune_size: [20, 30, 40, 60]
  seed: [0, 1]
stages:
  pretrain:
    train: [{labels: dft, subset: b, size: "${pretrain_size}"}]
    batch: {max_atoms: 40}
    max_steps: STEPS
    validate_every: 5
  finetune:
    start_from: pretrain
    train: [{labels: cc, subset: a, size: "${finetune_size}"}]
    batch: {max_atoms: 40}
    max_steps: STEPS
    validate_every: 5
result: finetune
evaluate: [{labels: cc, subset: t}]
resources: {workers: 2, gpus_per_worker: 0, max_failures: 3, hung_after_s: 20}
tracking: {steps_per_decade: all}
"""
STAGES = 6 + 24
RANK, ACTOR = "ray::RayTrainWorker", "ray::ImplicitFunc"


class Chaos:
    """One run under fire: its driver, its cluster, its tracking server, and what a seed draws.

    Args:
        made: the cluster.
        server: it runs.
        command: of the driver.
        store: that it trains into.
        log: takes what the drivers say.
        draw: the seed's.
    """

    def __init__(
        self, made: Cluster, server: MlflowServer, command: list[str], store: Path, log: TextIO, draw: random.Random
    ) -> None:
        self.made = made
        self.server = server
        self.command = command
        self.store = StoreFolder(store)
        self.log = log
        self.draw = draw
        self.driver = self.submit()
        self.stopped: list[psutil.Process] = []

    def submit(self) -> subprocess.Popen[bytes]:
        """Start the driver."""
        return subprocess.Popen(self.command, env=self.made.environment(), stdout=self.log, stderr=self.log)

    def done(self) -> int:
        """Return how many stages are trained."""
        return sum(folder.record_path.exists() for folder in self.store.stages())

    def one_of(self, kind: str) -> psutil.Process:
        """Return a process of a kind that is at work, as soon as there is one."""
        return self.draw.choice(until(lambda: sorted(self.made.processes(kind), key=lambda one: one.pid), 600))

    def kill_a_rank(self) -> None:
        """SIGKILL."""
        self.one_of(RANK).kill()

    def kill_an_actor(self) -> None:
        """SIGKILL to what performs a trial."""
        self.one_of(ACTOR).kill()

    def stop_a_rank(self) -> None:
        """SIGSTOP, for good: the limit on hung workers has to end it."""
        rank = self.one_of(RANK)
        rank.suspend()
        self.stopped.append(rank)

    def kill_a_node(self) -> None:
        """SIGKILL to a raylet and all its workers; another node comes."""
        self.made.kill_node()
        time.sleep(self.draw.uniform(0, 5))
        self.made.add_node(CPU=2)

    def kill_the_driver(self) -> None:
        """SIGKILL; the same command is given again."""
        self.driver.kill()
        self.driver.wait()
        time.sleep(self.draw.uniform(0, 5))
        self.driver = self.submit()

    def take_mlflow_down(self) -> None:
        """SIGKILL to the tracking server, for some seconds."""
        self.server.kill()
        time.sleep(self.draw.uniform(1, 10))
        self.server.start()

    def faults(self) -> list[tuple[int, Callable[[], None]]]:
        """Draw at how many trained stages each fault comes; all but the last few stages may see one."""
        kinds = [
            self.kill_a_rank, self.kill_a_rank, self.kill_an_actor, self.stop_a_rank, self.kill_a_node,
            self.kill_the_driver, self.take_mlflow_down,
        ]  # fmt: skip
        self.draw.shuffle(kinds)
        return list(zip(sorted(self.draw.sample(range(STAGES - 6), len(kinds))), kinds, strict=True))

    def run(self) -> None:
        """Strike, and wait for the end."""
        told: list[str] = []
        for at, strike in self.faults():
            until(lambda at=at: self.done() >= at or self.driver.poll() is not None, 900)
            assert self.driver.poll() is None, f"the driver ended by itself after {told}"
            time.sleep(self.draw.uniform(0, 3))
            told.append(f"at {self.done()} stages: {strike.__name__}")
            strike()
        assert self.driver.wait(900) == 0, told

    def end(self) -> None:
        """Leave no process, whatever happened."""
        for process in self.stopped:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()


@pytest.mark.parametrize("seed", SEEDS)
def test_under_fire_a_sweep_of_two_nodes_ends_as_the_undisturbed_one(tmp_path, seed):
    path, disturbed, undisturbed = tmp_path / "chaos.yaml", tmp_path / "disturbed", tmp_path / "undisturbed"
    path.write_text(SPEC.replace("STEPS", str(STEPS)))
    (folder := tmp_path / "server").mkdir()
    server = MlflowServer(folder)
    run = [str(Path(sys.executable).with_name("mfsweep")), "run", str(path), "--store"]
    with cluster({"CPU": 2}, {"CPU": 2}) as made, (tmp_path / "said").open("w") as log:
        calm = subprocess.run([*run, str(undisturbed)], env=made.environment(), stdout=log, stderr=log, check=False)
        assert calm.returncode == 0, (tmp_path / "said").read_text()
        try:
            server.start()
            tracked = [*run, str(disturbed), "--tracking-uri", server.address]
            chaos = Chaos(made, server, tracked, disturbed, log, random.Random(seed))
            try:
                chaos.run()
            finally:
                chaos.end()
            assert [one for one in chaos.stopped if one.is_running()] == []
            check_as_undisturbed(disturbed, undisturbed, "chaos", tracked=server.address, thinned=False)
        finally:
            server.kill()
    assert len(chaos.store.keys()) == STAGES
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said, said
