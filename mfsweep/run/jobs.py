"""Sweeps as jobs of a Ray cluster: submitted, found again, followed and cancelled through its Jobs API.

The API is the dashboard's, at an address like http://HEAD:8265, and keeps what a job was and said as long as the
cluster lives. What a sweep has reached is in the store, and does not depend on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from mfsweep.errors import ResourceError, nearest

STOP_SECONDS = 60
"""How long a job that is cancelled may take to bring its stages to a checkpoint."""
SPECS, STORE = "mfsweep.specs", "mfsweep.store"
"""Keys of a job's metadata: the names of its specs, with commas, and its store."""
POLL_SECONDS = 1.0
_LEADING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Variables that Ray would follow in place of the address that it is given."""
_CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Loggers that tell of each upload."""


class Submitted(NamedTuple):
    """A job of this package on a cluster."""

    id: str
    status: str
    """As Ray has it: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    specs: tuple[str, ...]
    """Names of its specs; empty of a job that `ray job submit` made."""
    command: str
    started: float | None
    """Unix time, seconds."""
    ended: float | None
    message: str

    @property
    def is_over(self) -> bool:
        """Return whether it has come to an end."""
        return JobStatus(self.status).is_terminal()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self._asdict() | {"specs": list(self.specs)}


class Jobs:
    """The jobs of a cluster.

    Args:
        address: of its dashboard, http://HEAD:8265.

    Raises:
        ResourceError: nothing answers there as a Ray cluster does, or it wants another token.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        if not address.startswith(("http://", "https://")):
            host = address.partition("://")[2] or address
            raise ResourceError(
                f"--address {address}: expected the address of the cluster's dashboard, for example "
                f"http://{host.rpartition(':')[0] or host}:8265"
            )
        for chatty in _CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        with self._answering(), _without(_LEADING):
            self._client = JobSubmissionClient(address)

    def submit(
        self, files: Mapping[str, str], arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> str:
        """Submit `mfsweep run FILES ARGUMENTS`; return the job's id.

        Args:
            files: name of a file in `folder` -> name of the spec in it.
            arguments: options of the run. They can be read by whoever sees the dashboard.
            folder: what is shipped: the job runs in a copy of it.
            environment: further variables of the job.
        """
        name = f"mfsweep-{'-'.join(files.values())}"[:80]
        store = arguments[list(arguments).index("--store") + 1]
        with self._answering():
            return self._client.submit_job(
                entrypoint=shlex.join(["mfsweep", "run", *files, *arguments]),
                submission_id=f"{name}-{secrets.token_hex(3)}",
                runtime_env={
                    "working_dir": str(folder),
                    # Ray would kill the driver three seconds after it has asked it to stop.
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **environment},
                },
                metadata={SPECS: ",".join(files.values()), STORE: store},
            )

    def every(self) -> list[Submitted]:
        """Return the jobs that are sweeps, latest first."""
        with self._answering():
            found = [_submitted(job) for job in self._client.list_jobs() if job.submission_id]
        ours = [job for job in found if job.specs or "mfsweep" in job.command]
        return sorted(ours, key=lambda job: job.started or 0.0, reverse=True)

    def find(self, name: str) -> Submitted:
        """Return the job of an id, or the latest of a spec's name.

        Raises:
            ResourceError: there is none.
        """
        jobs = self.every()
        for job in jobs:
            if name == job.id or name in job.specs:
                return job
        known = ", ".join(job.id for job in jobs[:5]) or "none"
        names = [job.id for job in jobs] + [spec for job in jobs for spec in job.specs]
        raise ResourceError(
            f"{name}: no job of {self._address} has this id, or a spec of this name. Its sweeps, latest first: "
            f"{known}.{nearest(name, names)}"
        )

    def logs(self, job: Submitted, say: Callable[[str], object], *, follow: bool) -> Submitted:
        """Say what a job has printed; with `follow`, what it prints until its end. Return how it stands then."""

        async def tail() -> None:
            async for part in self._client.tail_job_logs(job.id):
                say(part)

        with self._answering():
            if follow and not job.is_over:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "ssl=None", DeprecationWarning)  # Ray's own call
                    asyncio.run(tail())
            else:
                say(self._client.get_job_logs(job.id))
        return self.find(job.id)

    def cancel(self, job: Submitted, *, wait: bool) -> Submitted:
        """Ask a job to stop; its stages end at a checkpoint. Return how it stands, after its end with `wait`."""
        with self._answering():
            if not job.is_over:
                self._client.stop_job(job.id)
        deadline = time.monotonic() + 2 * STOP_SECONDS
        job = self.find(job.id)
        while wait and not job.is_over and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            job = self.find(job.id)
        return job

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Tell what goes wrong between us and the cluster in a sentence."""
        try:
            yield
        except AuthenticationError as error:
            raise ResourceError(
                f"--address {self._address}: that cluster asks for a token, and this process has none or another. Set "
                "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the head's token "
                "(`ray get-auth-token` prints it there)"
            ) from error
        except (ConnectionError, requests.exceptions.RequestException) as error:
            raise ResourceError(
                f"--address {self._address}: no dashboard of a Ray cluster answers there. Forward the head's port 8265 "
                "(`ray dashboard cluster.yaml`, `ssh -L 8265:localhost:8265 HEAD`), or name another address"
            ) from error
        except RuntimeError as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ResourceError(f"--address {self._address}: the cluster refuses: {said}") from error


@contextlib.contextmanager
def _without(variables: Sequence[str]) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _submitted(job: JobDetails) -> Submitted:
    names = (job.metadata or {}).get(SPECS, "")
    return Submitted(
        id=job.submission_id or "",
        status=str(job.status.value),
        specs=tuple(filter(None, names.split(","))),
        command=job.entrypoint,
        started=job.start_time / 1000 if job.start_time else None,
        ended=job.end_time / 1000 if job.end_time else None,
        message=job.message or "",
    )
