"""Places that a Ray job would lose with its working folder."""

from __future__ import annotations

from pathlib import Path

from mfsweep.errors import StoreError, TrackingError
from mfsweep.prepare import Plan
from mfsweep.run import cluster
from mfsweep.store.sqlite_uris import is_relative


def refuse_relative_store(store: Path) -> None:
    """Refuse a store that a Ray job would lose.

    Raises:
        StoreError: a relative path inside a job, whose working folder Ray deletes.
    """
    if cluster.in_job() and not store.is_absolute():
        raise StoreError(
            f"--store {store}: inside a Ray job an absolute path on shared storage is expected: the job's working "
            "folder is Ray's own and is deleted. Pass --store /shared/..., or set MFSWEEP_STORE"
        )


def refuse_relative_databases(plan: Plan, tracking_uri: str | None) -> None:
    """Refuse the databases that a Ray job would lose.

    Args:
        plan: with the spec's own.
        tracking_uri: in place of the spec's.

    Raises:
        SpecError: the address of an sqlite file by a relative path inside a job, in the spec.
        TrackingError: likewise in the option or variable.
    """
    if not cluster.in_job():
        return
    expected = (
        "an absolute path on shared storage (sqlite:////shared/...) or a server's address: inside a Ray job the "
        "working folder is Ray's own and is deleted"
    )
    if tracking_uri and is_relative(tracking_uri):
        raise TrackingError(f"--tracking-uri (MLFLOW_TRACKING_URI): got {tracking_uri}, expected {expected}")
    experiment = plan.spec.experiment
    given = {("tracking", "uri"): None if tracking_uri else experiment.tracking.uri}
    given[("search", "storage")] = experiment.search.storage if experiment.search else None
    for place, uri in given.items():
        if uri and is_relative(uri):
            raise plan.spec.document.error(place, uri, expected)
