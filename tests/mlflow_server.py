"""A real MLflow server on the loopback; and whether what one shows of a sweep is what the store has."""

from __future__ import annotations

import base64
import http.server
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Self

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


class Gate:
    """Stands before a server: asks for a login, or is slow. It counts whom it has turned away."""

    def __init__(self, server: MlflowServer, login: str | None = None, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.refused = 0
        gate, expected = self, login and f"Basic {base64.b64encode(login.encode()).decode()}"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                time.sleep(gate.seconds)
                if expected and self.headers.get("Authorization") != expected:
                    gate.refused += 1
                    self.answer(401, b"who are you?")
                    return
                kept = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
                asked = urllib.request.Request(server.address + self.path, body or None, kept, method=self.command)
                try:
                    with urllib.request.urlopen(asked, timeout=60) as response:
                        self.answer(response.status, response.read())
                except urllib.error.HTTPError as error:
                    self.answer(error.code, error.read())

            do_POST = do_PUT = do_PATCH = do_GET

            def answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def check_mirrored(uri: str, name: str, store: StoreFolder, *, thinned: bool = False) -> None:
    """Compare what MLflow shows of a finished sweep with the store: each run, and each point of each curve, once.

    Args:
        uri: of MLflow.
        name: of the sweep.
        store: what it was trained into.
        thinned: whether long curves have lost points, as they do by default.
    """
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
            if thinned:
                assert found, (key, metric)
                assert len(set(found)) == len(found), (key, metric)
                assert set(found) <= set(expected), (key, metric)
            else:
                assert found == expected, (key, metric)
