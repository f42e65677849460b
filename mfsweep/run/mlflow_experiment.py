"""An MLflow experiment as the sink needs it: find or make runs, and add to a run only what it lacks.

Every call may raise MLflow's errors; `is_refusal` tells the ones that a later try would meet again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from mfsweep.errors import TrackingError
from mfsweep.masking import is_masked, masked
from mfsweep.run import mlflow_places
from mfsweep.run.mlflow_names import VIEW_KEY
from mfsweep.run.mlflow_values import short_params, short_tags
from mfsweep.run.tail import MetricPoint

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

# Limits of MLflow 3.17 (mlflow/utils/validation.py).
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
NAME_LENGTH = 250
RUNS_PER_PAGE = 200

SPEC = "`tracking:` in the spec"
"""Where a URI comes from, if nothing else is said."""
RUN_NAME = "mlflow.runName"
"""Tag by which MLflow keeps the name of a run."""

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's settings where the user has none: by default one call to a dead server retries for minutes, while the sink
has its own patience; whether MLflow reports its use to its makers is for users to choose; and with a server it prints
two lines at the end of each run, in the middle of what a command prints."""

_REFUSALS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}


@dataclass
class RunState:
    """What one MLflow run holds, as last seen or written."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    """Metric -> highest step."""
    values: dict[str, float] = field(default_factory=dict)
    """Metric -> value at that step."""
    artifacts: str = ""
    """URI of the folder of its artifacts."""


class MlflowExperiment:
    """One MLflow experiment on one tracking server."""

    def __init__(self, uri: str, name: str, artifacts: Path, given: str = SPEC) -> None:
        """Get or create the experiment; with a database, a new one keeps its artifacts in the folder `artifacts`.

        A server decides itself where they go. A database beside the folder moves with it (mlflow_places.py). `given`
        says where the user has named the URI.

        Raises:
            TrackingError: the server cannot be reached within about ten seconds, or refuses.
        """
        if is_masked(uri):
            raise TrackingError(
                f"{given}: the tracking URI {uri} has no password: it comes from a copy of a spec, in which mfsweep "
                "masks them. Run your own spec, or name the server with --tracking-uri or MLFLOW_TRACKING_URI"
            )
        prepare_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        self.name = name
        try:
            database = _is_database(uri)
            if database:
                _try_database(uri)
            self._client = MlflowClient(tracking_uri=uri)
            own = mlflow_places.own_database(uri, artifacts) if database else None
            self._kept = None if own is None else artifacts
            location = mlflow_places.ROOT if own is not None else artifacts.absolute().as_uri()
            self._id = self._get_or_create(name, location if database else None)
            if own is not None:
                mlflow_places.make_movable(own, artifacts)
        except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise TrackingError(
                f"{given}: the tracking server {uri} cannot be used: {reason(error, uri)}\n"
                "Start it, correct that, or leave it out to track into a file of the store."
            ) from error

    def runs(self, tags: Mapping[str, str] | None = None) -> Iterator[RunState]:
        """Yield every run of the experiment that was not deleted and has these tags, oldest first."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in (tags or {}).items())
        order = ["attributes.start_time ASC"]
        token = None
        while True:
            page = self._client.search_runs(
                [self._id], wanted, max_results=RUNS_PER_PAGE, order_by=order, page_token=token
            )
            yield from map(_state, page)
            if not (token := page.token):
                return

    def create(self, name: str, tags: Mapping[str, str]) -> RunState:
        """Start a new run."""
        known = short_tags(tags)
        return _state(self._client.create_run(self._id, tags=known, run_name=name))

    def describe(self, run: RunState, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Add the params and tags that the run lacks or has otherwise; MLflow never changes a param."""
        from mlflow.entities import Param, RunTag

        missing = [Param(key, value) for key, value in short_params(params).items() if key not in run.params]
        changed = {key: value for key, value in short_tags(tags).items() if run.tags.get(key) != value}
        for start in range(0, len(missing), PARAMS_PER_CALL):
            self._client.log_batch(run.run_id, params=missing[start : start + PARAMS_PER_CALL])
        tag_list = [RunTag(key, value) for key, value in changed.items()]
        for start in range(0, len(tag_list), PARAMS_PER_CALL):
            self._client.log_batch(run.run_id, tags=tag_list[start : start + PARAMS_PER_CALL])
        run.params.update({param.key: param.value for param in missing})
        run.tags.update(changed)

    def contradicts(self, run: RunState, params: Mapping[str, Any]) -> bool:
        """Return whether the run has a param that is not among these, or has another value there."""
        wanted = short_params(params)
        return any(wanted.get(key) != value for key, value in run.params.items())

    def replace(self, run: RunState, name: str, tags: Mapping[str, str]) -> RunState:
        """Start a new run in the place of one, with these tags and those that users gave it; the old one is deleted.

        MLflow keeps a deleted run until `mlflow gc`.
        """
        # An axis is a param and a tag: of one that is gone both go.
        kept = {key: value for key, value in run.tags.items() if key != RUN_NAME and key not in run.params}
        new = self.create(name, {**kept, **tags})
        self._client.delete_run(run.run_id)
        return new

    @property
    def id(self) -> str:
        """Return the experiment's id."""
        return self._id

    def tag(self, tags: Mapping[str, str]) -> None:
        """Put tags on the experiment itself."""
        for key, value in tags.items():
            self._client.set_experiment_tag(self._id, key, value)

    def log(self, run: RunState, points: Sequence[MetricPoint]) -> None:
        """Write points; the same points again change nothing, for their times are stored with them."""
        from mlflow.entities import Metric

        for start in range(0, len(points), METRICS_PER_CALL):
            part = points[start : start + METRICS_PER_CALL]
            self._client.log_batch(run.run_id, metrics=[Metric(*point) for point in part])
            run.steps.update((point.key, point.step) for point in part)
            run.values.update((point.key, point.value) for point in part)

    def upload(self, run: RunState, path: Path) -> None:
        """Upload a file, or a folder under its own name."""
        if self._kept is not None:
            mlflow_places.keep(self._kept, run.run_id, path)
            return
        _make_way(run.artifacts, path.name)
        if path.is_dir():
            self._client.log_artifacts(run.run_id, str(path), artifact_path=path.name)
        else:
            self._client.log_artifact(run.run_id, str(path))

    def takes(self, run: RunState, tag: str, value: str) -> bool:
        """Return whether the server takes a tag of a run that exists; on a full disk it still answers questions."""
        try:
            self._client.set_tag(run.run_id, tag, value)
        except Exception:  # noqa: BLE001  whatever it is, the answer is no
            return False
        return True

    def is_running(self, run: RunState) -> bool:
        """Return whether a run was not ended by now, by whomever."""
        run.status = self._client.get_run(run.run_id).info.status
        return run.status == "RUNNING"

    def deletion(self) -> str:
        """Return that the experiment was deleted and how to bring it back; empty while it stands."""
        try:
            found = self._client.get_experiment(self._id)
        except Exception as error:  # noqa: BLE001  a server that does not answer has deleted nothing
            gone = getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"
            return f"the MLflow experiment {self.name!r} was deleted for good" if gone else ""
        return "" if found.lifecycle_stage == "active" else _deleted(self.name, found.experiment_id)

    def set_status(self, run: RunState, status: str, time: int | None = None) -> None:
        """Set RUNNING, or end the run with FINISHED, FAILED or KILLED at a time (ms; default now)."""
        if status == "RUNNING":
            self._client.update_run(run.run_id, status=status)
        else:
            self._client.set_terminated(run.run_id, status=status, end_time=time)
        run.status = status

    def _get_or_create(self, name: str, artifact_location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, artifact_location=artifact_location)
            except MlflowException:
                # Another sweep of the same spec may have been quicker.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise TrackingError(f"{_deleted(name, found.experiment_id)}, or give the spec another name")
        return found.experiment_id


def prepare_mlflow() -> None:
    """Make MLflow's settings, before its first call: where the user has none, and how much it logs."""
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    import mlflow  # noqa: F401 (it sets up its own logging)

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what the sink says itself


def reconnect(uri: str) -> None:
    """Let MLflow open a database anew: it keeps connections for good, to a file that may have been replaced since."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if (engine := SqlAlchemyStore._engine_map.get(uri)) is not None:  # noqa: SLF001 (there is no public way)
        engine.dispose()


def _deleted(name: str, number: str) -> str:
    back = f"`mlflow experiments restore --experiment-id {number}`"
    return f"the MLflow experiment {name!r} was deleted. Bring it back with {back}"


def is_refusal(error: Exception) -> bool:
    """Return whether the server understood and said no, so that trying again is useless."""
    return getattr(error, "error_code", None) in _REFUSALS


def reason(error: Exception, uri: str = "") -> str:
    """Return the first line of an error, short and without passwords, nor parts of that in an address."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {masked(first, uri)[:300]}"


def _is_database(uri: str) -> bool:
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES


def _try_database(uri: str) -> None:
    """Connect once: MLflow itself would try for minutes before it says what is wrong."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _state(run: Run) -> RunState:
    metrics = run.data.to_proto().metrics  # RunData.metrics leaves the steps out
    return RunState(
        run_id=run.info.run_id,
        status=run.info.status,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        steps={metric.key: metric.step for metric in metrics},
        values={metric.key: metric.value for metric in metrics},
        artifacts=run.info.artifact_uri or "",
    )


def _make_way(folder: str, name: str) -> None:
    """Remove another user's file of a name, where artifacts lie in a shared folder.

    MLflow copies into the file that is there and then sets its times, which only its owner may.
    """
    place = urlparse(folder)
    target = Path(unquote(place.path)) / name
    if place.scheme in ("", "file") and target.is_file() and target.stat().st_uid != os.geteuid():
        target.unlink()


def view_keys(uri: str) -> dict[str, tuple[str, str]]:
    """Return the name of each experiment that has a view of ours -> its id and the view's key, the latest first."""
    from mlflow import MlflowClient

    experiments = MlflowClient(tracking_uri=uri).search_experiments(order_by=["last_update_time DESC"])
    return {one.name: (one.experiment_id, one.tags[VIEW_KEY]) for one in experiments if VIEW_KEY in one.tags}
