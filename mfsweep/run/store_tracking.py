"""The mirror that a store has of its own, mlflow.db: whatever state it is in, a run goes on.

A run whose `mlflow.db` cannot be used, or made, is not mirrored; the records are the truth, and what it misses is
written later: by the next run of the spec, or by `mfsweep track rebuild` (rebuild.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Literal

from mfsweep.errors import MfsweepError, TrackingError
from mfsweep.run.databases import MlflowTables, whole
from mfsweep.run.mlflow_experiment import reason, reconnect
from mfsweep.run.tracking import Tracker, Untracked
from mfsweep.store import StoreFolder


def open_tracker(
    store: StoreFolder,
    experiment: str,
    say: Callable[[str], object],
    *,
    sweep: str,
    params: Mapping[str, Any] | None = None,
    steps_per_decade: int | Literal["all"] = "all",
) -> Tracker:
    """Return the tracker of a sweep in the store's own file, which is made, or mended, where it has to be.

    Args:
        store: whose it is.
        experiment: name of the experiment, the spec's.
        say: is told what was wrong with the file, once it is mended.
        sweep: as of `Tracker.open`.
        params: likewise.
        steps_per_decade: likewise.

    Raises:
        TrackingError: the file cannot be used.
    """
    try:
        with whole(store.tracking_database, MlflowTables()) as mended:
            if mended:
                say(mended)
            reconnect(store.tracking_uri)
            return Tracker.open(
                store.tracking_uri,
                experiment,
                sweep=sweep,
                params=params,
                artifacts=store.artifacts,
                steps_per_decade=steps_per_decade,
                guard=store.tracking_guard,
                abandoned=store.is_abandoned,
            )
    except MfsweepError as error:
        raise TrackingError(str(error).partition("\n")[0]) from error
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{store.tracking_database} cannot be used: {_in_words(error)}") from error
    except Exception as error:  # whatever MLflow, Alembic and SQLAlchemy make of a file that somebody else has made
        raise TrackingError(f"{store.tracking_database} cannot be used: {reason(error)}") from error


def open_or_go_on(
    store: StoreFolder, experiment: str, say: Callable[[str], object], **options: Any
) -> Tracker | Untracked:
    """Return what `open_tracker` does; where that cannot be, say so and return what mirrors nothing."""
    try:
        return open_tracker(store, experiment, say, **options)
    except TrackingError as error:
        say(f"{error}. This run goes on without it; `mfsweep track rebuild` writes what is missing once that is mended")
        return Untracked()


def _in_words(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
