"""What a Ray cluster that a run starts for itself is given: CPUs, a folder, a token, and workers as nice as the run.

Ray's own choices go wrong on machines that are shared: it counts CPUs that are not ours, makes unix sockets below
TMPDIR whatever its length, and keeps its token in the home folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants, services
from ray._private.utils import detect_fate_sharing_support
from ray.exceptions import RayError

from mfsweep.errors import ResourceError
from mfsweep.files import FULL_DISK
from mfsweep.run.cpus import usable

LONGEST_SOCKET = 107
"""Bytes that the path of a unix socket may have."""
TRIES = 3
"""Starts of Ray, each of which it gives up after half a minute at some points."""
PATIENCE_SECONDS = 300
"""How long a process of Ray's may take to come up where Ray lets us say so."""
_CONFIG = {
    # By default Ray makes workers nicer than the run by 15: anything else on the machine goes before them.
    "worker_niceness": 0,
    "worker_register_timeout_seconds": PATIENCE_SECONDS,
    "agent_register_timeout_ms": PATIENCE_SECONDS * 1000,
    # There is no other node: one that does not answer in time is merely busy.
    "health_check_failure_threshold": 100,
}
_SOCKET = "/session_2026-11-26_09-32-52_123456_4194304/sockets/plasma_store"
"""The longest path of a socket below Ray's folder."""


def start(init: Callable[..., object]) -> None:
    """Start an own cluster; on a machine too busy to do so in Ray's time, again.

    Args:
        init: `ray.init` with what does not depend on this module.

    Raises:
        ResourceError: it could not be started.
    """
    for left in reversed(range(TRIES)):
        arguments = options()
        running = set(psutil.Process().children(recursive=True))
        try:
            with _on_the_loopback(), _in_groups_of_their_own(), _temporary_files_in(arguments["_temp_dir"]):
                init(**arguments)
        except Exception as error:
            # What Ray raises of a process that was not up in time is a plain Exception or RuntimeError.
            late = type(error) in (Exception, RuntimeError, TimeoutError) or isinstance(error, RayError)
            if not late and (not isinstance(error, OSError) or error.errno in FULL_DISK):
                raise
            _end_what_was_begun(running)
            if not (late and left):
                raise _not_started(arguments, error) from error
        else:
            return


@contextlib.contextmanager
def _on_the_loopback() -> Iterator[None]:
    """Let the node of Ray's start have the loopback's address meanwhile, so that only this machine reaches its ports.

    Ray does so on macOS. On Linux it takes the address of a network card, also in place of a loopback's that is given,
    and then listens on every card.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Let the processes that Ray starts meanwhile have process groups of their own.

    What asks a run to end goes to its whole group: from `timeout`, a terminal that is closed, a batch system. The
    stages save their state on the cluster then, so that this must outlive the signal. It ends with the run's process.
    Where the system cannot see to that (macOS), Ray does by the run's group.
    """
    if not detect_fate_sharing_support():
        yield
        return
    ours = services.ConsolePopen

    class Apart(ours):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, process_group=0)

    services.ConsolePopen = Apart
    try:
        yield
    finally:
        services.ConsolePopen = ours


@contextlib.contextmanager
def _temporary_files_in(place: str) -> Iterator[None]:
    """Let the processes that Ray starts meanwhile have their temporary files there, if Ray cannot work in TMPDIR.

    The dashboard's processes make sockets in TMPDIR, whatever folder Ray is given.
    """
    before = os.environ.get("TMPDIR")
    if before is None or place == get_default_ray_temp_dir():
        yield
        return
    os.environ["TMPDIR"] = place
    try:
        yield
    finally:
        os.environ["TMPDIR"] = before


def options() -> dict[str, Any]:
    """Return the arguments of `ray.init` for an own cluster; what Ray reads from the environment is set there.

    Raises:
        ResourceError: there is no folder that Ray can work in.
    """
    _give_token()
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", str(PATIENCE_SECONDS))
    config = {name: value for name, value in _CONFIG.items() if f"RAY_{name}" not in os.environ}
    return {"address": "local", "num_cpus": usable().number, "_temp_dir": folder(), "_system_config": config}


def _not_started(arguments: Mapping[str, Any], error: Exception) -> ResourceError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ResourceError(
        f"Ray cannot be started on this machine: {why} Its logs are in {arguments['_temp_dir']}/session_latest/logs. "
        "Where the machine is merely too busy, try again later: nothing was run"
    )


def _end_what_was_begun(running: AbstractSet[psutil.Process]) -> None:
    """End the processes that a start has left behind which failed."""
    ray.shutdown()
    begun = set(psutil.Process().children(recursive=True)) - running
    for process in begun:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(begun, timeout=PATIENCE_SECONDS)


def called() -> str:
    """Return what an own cluster is called: with its CPUs, where it has fewer than the machine."""
    return "a local Ray cluster" + (f" of {share}" if (share := share_of_machine()) else "")


def share_of_machine() -> str:
    """Return which part of this machine's CPUs a run may use, and what leaves it no more; empty: all of them."""
    cpus = usable()
    return f"{cpus.number} of {os.cpu_count()} CPUs ({cpus.limit})" if cpus.limit else ""


def folder() -> str:
    """Return the folder for Ray's sessions: its own choice, or a short one where that cannot be had.

    Raises:
        ResourceError: neither can be written.
    """
    choices = dict.fromkeys([get_default_ray_temp_dir(), "/tmp/ray", f"/tmp/ray-{os.getuid()}"])  # noqa: S108 (short)
    for choice in choices:
        if len(os.fsencode(choice + _SOCKET)) <= LONGEST_SOCKET and _is_writable(Path(choice)):
            return choice
    raise ResourceError(
        f"Ray has no folder to work in: of {', '.join(choices)} none is short enough for its sockets (their paths have "
        f"{LONGEST_SOCKET} bytes at most) and can be written. Name a short one: RAY_TMPDIR=/short/folder"
    )


def _is_writable(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
        return os.access(path, os.W_OK | os.X_OK)
    return False


def _give_token() -> None:
    """Let the cluster have a token of its own where Ray cannot keep one in the home folder.

    Ray reads HOME, and writes `~/.ray/auth_token` at the first start on a machine.
    """
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    home = os.environ.get("HOME")
    if home and ((Path(home) / ".ray" / "auth_token").is_file() or _is_writable(Path(home) / ".ray")):
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
