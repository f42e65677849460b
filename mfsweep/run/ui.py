"""The MLflow UI on a store's tracking database."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from mfsweep.errors import TrackingError
from mfsweep.run.mlflow_experiment import view_keys
from mfsweep.run.mlflow_names import link
from mfsweep.run.mlflow_places import make_movable
from mfsweep.store import StoreFolder

LOCALHOST = "127.0.0.1"
LINKS = 5
"""Sweeps whose tables are linked to, the latest."""


def ui_environment(uri: str) -> dict[str, str]:
    """Return the variables of the process of `ui_command`; whoever sees command lines would read a password in one.

    Without the first MLflow starts eight more processes, for jobs that nobody submits here.
    """
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**quiet, "MLFLOW_BACKEND_STORE_URI": uri}


def ui_command(uri: str, port: int = 5000, host: str = LOCALHOST, artifacts: Path | None = None) -> list[str]:
    """Return the command line of the MLflow UI on a tracking database; only this machine reaches the default host.

    The database is told by `ui_environment`.

    Args:
        uri: of the database.
        port: of the UI.
        host: that it listens on.
        artifacts: folder that `mlflow-artifacts:/` in the database means: that of a store.

    Raises:
        TrackingError: the URI is a server's, which shows its own UI.
    """
    if uri.startswith(("http://", "https://")):
        raise TrackingError(f"{uri} is a tracking server: open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--artifacts-destination", str(artifacts)] if artifacts else []
    return [*command, "--host", host, "--port", str(port)]


def _links(uri: str, server: str) -> Iterator[str]:
    """Yield the addresses of the tables of the latest sweeps; none of a database that only the UI can mend."""
    try:
        views = view_keys(uri)
    except Exception:  # noqa: BLE001 (whatever it is, the UI says it better)
        return
    for name, (experiment, key) in list(views.items())[:LINKS]:
        yield f"  {name}: {link(server, experiment, key)}"


def serve(store: StoreFolder, uri: str | None, port: int) -> NoReturn:
    """Become the MLflow UI of a store: the process is replaced, so that whatever ends it ends the server.

    Raises:
        TrackingError: there is nothing to show, the port is taken, or the URI is a server's own.
    """
    database = store.root / "mlflow.db"
    if uri is None and not database.exists():
        raise TrackingError(
            f"{database}: no such file: nothing has been run into this store yet. Name another with --store"
        )
    command = ui_command(uri or store.tracking_uri, port, artifacts=store.artifacts)
    with socket.socket() as probe:
        if probe.connect_ex((LOCALHOST, port)) == 0:
            raise TrackingError(f"port {port} of this machine is taken: choose another with --port")
    if uri is None:
        make_movable(database, store.artifacts)
    server = f"http://{LOCALHOST}:{port}"
    print(f"MLflow on {server} (Ctrl-C ends it)", flush=True)  # noqa: T201 (a command's answer)
    for line in _links(uri or store.tracking_uri, server):
        print(line, flush=True)  # noqa: T201 (as above)
    os.execve(command[0], command, os.environ | ui_environment(uri or store.tracking_uri))  # noqa: S606 (our own arguments)
