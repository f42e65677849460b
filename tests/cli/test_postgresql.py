"""Sweeps that are tracked on a real PostgreSQL: by an MLflow server before it, and directly with a password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from finished import finish
from mlflow_server import MlflowServer, check_mirrored
from postgresql import PASSWORD, missing, postgresql

from mfsweep.prepare import prepare
from mfsweep.run.mlflow_experiment import MlflowExperiment
from mfsweep.store import StoreFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
STAGES = 8
"""Of the spec that `write_spec` writes."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Give the address of a PostgreSQL with MLflow's tables."""
    with postgresql() as address:
        MlflowExperiment(address, "warm-up", tmp_path_factory.mktemp("artifacts"))
        yield address


@pytest.fixture
def server(database, tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    made = MlflowServer(folder, database)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def started(*words, **environment):
    command = [sys.executable, "-m", "mfsweep", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True, **pipes)


def ended(processes):
    """Return what each printed, once all have ended well."""
    try:
        said = [process.communicate(timeout=1500) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert [process.returncode for process in processes] == [0, 0], said
    return said


def test_two_runs_at_once_that_write_into_it_double_nothing_and_leave_its_password_nowhere(
    database, write_spec, tmp_path
):
    import psycopg

    path = write_spec(("name: small", "name: direct"), ("resources:", f'tracking: {{uri: "{database}"}}\nresources:'))
    store = StoreFolder(tmp_path / "store")
    store.prepare()
    finish(prepare(path, store.root))
    said = ended([started("run", path, "--store", store.root) for _ in range(2)])
    assert len(store.keys()) == STAGES
    check_mirrored(database, "direct", store)
    assert PASSWORD in path.read_text()
    assert PASSWORD not in str(said)
    assert "MLflow:" not in str(said), "it took everything"
    files = [own for own in tmp_path.rglob("*") if own.is_file() and own != path]
    assert len(files) > 20
    assert [own for own in files if PASSWORD.encode() in own.read_bytes()] == []
    assert "postgresql+psycopg://***@127.0.0.1" in store.sweep("direct").spec.read_text()
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [row for (name,) in names for row in connection.execute(f'SELECT * FROM "{name}"').fetchall()]
    assert any("direct" in map(str, row) for row in rows)
    assert not any(PASSWORD in str(row) for row in rows)


@pytest.mark.cluster
def test_two_runs_at_once_that_a_server_on_it_tracks_lose_and_double_nothing(server, write_spec, tmp_path):
    store = StoreFolder(tmp_path / "store")
    words = ["run", write_spec(), "--store", store.root, "--groups", 1, "--json"]
    processes = [started(*words, MLFLOW_TRACKING_URI=server.address) for _ in range(2)]
    said = [json.loads(out) for out, _ in ended(processes)]
    assert sum(one["run"] for one in said) == STAGES
    assert [one["run"] + one["reused"] for one in said] == [STAGES, STAGES]
    check_mirrored(server.address, "small", store)


def test_no_command_line_of_the_server_has_the_password(server):
    top = psutil.Process(server.process.pid)
    lines = [" ".join(one.cmdline()) for one in (top, *top.children(recursive=True))]
    assert lines
    assert not any(PASSWORD in line for line in lines)
