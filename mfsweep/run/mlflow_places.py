"""Where the artifacts of a store's own MLflow database lie: in the store, wherever the store is.

MLflow writes the absolute path of an experiment's artifacts into its database, so that runs of a store that was moved
or copied would go on writing into the old place. A store's own database says `mlflow-artifacts:/` in its place, which
means the folder that its server is told: `mfsweep ui` names that of the store. Here files are put there directly.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from mfsweep.store.sqlite_uris import sqlite_path

ROOT = "mlflow-artifacts:/"
"""Artifact location of every experiment in a store's own database."""


def own_database(uri: str, artifacts: Path) -> Path | None:
    """Return the database file of a tracking URI where it lies beside the folder of artifacts, as in a store."""
    path = Path(sqlite_path(uri))
    return path if path.name and path.absolute().parent == artifacts.absolute().parent else None


def make_movable(database: Path, artifacts: Path) -> None:
    """Take the places of artifacts that an earlier version wrote out of a store's own database.

    Args:
        database: an sqlite file with MLflow's tables.
        artifacts: the folder of its artifacts; earlier versions wrote its absolute path, wherever the store was then.
    """
    select = "SELECT experiment_id, artifact_location FROM experiments"
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(database)) as open_database:
        # Where another process holds the database, the next run does it.
        for number, location in open_database.execute(select).fetchall():
            old = str(location or "").rstrip("/")
            ours = old.startswith("file:") and old.endswith(f"/{artifacts.name}")
            if not (ours or (number == 0 and not old.startswith(ROOT.rstrip("/")))):  # 0: MLflow's own, never used
                continue
            with open_database:
                open_database.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (ROOT, number)
                )
                open_database.execute(
                    "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                    "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                    (ROOT, len(old) + 2, number, len(old) + 1, f"{old}/"),
                )


def keep(artifacts: Path, run_id: str, path: Path) -> None:
    """Put a file, or a folder under its own name, where MLflow looks for the artifacts of a run.

    Raises:
        OSError: it is not there, or the disk does not take it.
    """
    place = artifacts / run_id / "artifacts"
    place.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place / path.name, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, place / path.name)
