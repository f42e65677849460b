"""A real PostgreSQL on the loopback, from Debian's packages, with an MLflow database that asks for a password."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from mlflow_server import free_port

USER, PASSWORD, DATABASE = "mfsweep", "Zq-hunter2-qZ", "sweeps"
_PLACES = ["", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
_PATH = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES[1:]])


def missing() -> str:
    """Return what is missing to run one, empty where nothing is."""
    if shutil.which("initdb", path=_PATH) is None or shutil.which("postgres", path=_PATH) is None:
        return "no PostgreSQL: apt-get install postgresql"
    return "" if find_spec("psycopg") else "no client: pip install 'mfsweep[postgresql]'"


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server in a folder of its own; give the address of an empty database, with its password."""
    folder = Path(tempfile.mkdtemp(prefix="mfspg", dir="/tmp"))  # a socket's path is short
    account = _account()
    password = folder / "password"
    password.write_text(PASSWORD)
    for path in (folder, password):
        os.chown(path, account.pw_uid, account.pw_gid)
    data = str(folder / "data")
    _run(account, "initdb", "-D", data, "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync")
    port = free_port()
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                str(shutil.which("postgres", path=_PATH)), "-D", data, "-p", str(port), "-k", str(folder), "-h", "127.0.0.1",
                "-c", "fsync=off",
            ],
            stdout=log, stderr=log, cwd=folder, **_as(account),
        )  # fmt: skip
    try:
        _make_database(port, server, folder / "log")
        yield f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
    finally:
        server.send_signal(signal.SIGINT)  # it then waits for no client
        server.wait(30)
        shutil.rmtree(folder)


def _make_database(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    address = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
                return
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def _account() -> pwd.struct_passwd:
    """Return who runs it: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    names = {one.pw_name: one for one in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(account: pwd.struct_passwd) -> dict[str, int]:
    return {} if account.pw_uid == os.getuid() else {"user": account.pw_uid, "group": account.pw_gid}


def _run(account: pwd.struct_passwd, name: str, *words: str) -> None:
    command = [str(shutil.which(name, path=_PATH)), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_as(account))
    assert done.returncode == 0, done.stdout + done.stderr
