"""The MLflow UI on a store's tracking database."""

from __future__ import annotations

import sys

from mfsweep.errors import TrackingError
from mfsweep.run.mlflow_experiment import without_password

LOCALHOST = "127.0.0.1"


def ui_command(uri: str, port: int = 5000, host: str = LOCALHOST) -> list[str]:
    """Return the command line of the MLflow UI on a tracking database; only this machine reaches the default host.

    Raises:
        TrackingError: the URI is a server's, which shows its own UI.
    """
    if uri.startswith(("http://", "https://")):
        raise TrackingError(f"{without_password(uri)} is a tracking server: open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1"]
    return [*command, "--host", host, "--port", str(port)]
