"""A real MLflow server on the loopback; and whether what one shows of a sweep is what the store has."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

from mfsweep.metrics_file import entries
from mfsweep.run.mlflow_names import grouped
from mfsweep.run.ui import ui_command, ui_environment
from mfsweep.store import StoreFolder


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MlflowServer:
    """A real MLflow server, by the command of `mfsweep ui`, that can be killed and started again in its place."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder}/mlflow.db"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.command = ui_command(self.database, self.port)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers: many seconds on a small machine."""
        if self.process:
            return
        environment = os.environ | ui_environment(self.database)
        log = self.folder / "server.log"
        with log.open("ab") as out:  # a process group of its own, to be killed whole
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, cwd=self.folder, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while not self.answers("/health"):
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it as a crash would."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def answers(self, path: str) -> bool:
        """Return whether a page is there."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=10) as response:
                return response.status == 200
        except OSError:
            return False


def check_mirrored(uri: str, name: str, store: StoreFolder) -> None:
    """Compare what MLflow shows of a finished sweep with the store: each run, and each point of each curve, once."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(run.data.tags["mfsweep.kind"] for run in runs) == {"stage": len(store.keys()), "sweep": 1}
    assert {run.info.status for run in runs} == {"FINISHED"}
    shown = {run.data.tags["mfsweep.stage_key"]: run for run in runs if run.data.tags["mfsweep.kind"] == "stage"}
    assert shown.keys() == store.keys()
    for key, run in shown.items():
        curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for entry in entries(store.stage(key).metrics):
            for metric, value in entry.metrics.items():
                curves[grouped(metric)].append((entry.step, value))
        assert curves
        for metric, expected in curves.items():
            points = client.get_metric_history(run.info.run_id, metric)
            found = sorted((point.step, point.value) for point in points)
            if metric.endswith("per_second"):  # of steps that were repeated it tells the first time
                found, expected = [(step, 0.0) for step, _ in found], [(step, 0.0) for step, _ in expected]  # noqa: PLW2901
            assert found == expected, (key, metric)
