"""Which Ray cluster RAY_ADDRESS names, and whether this process can join it.

Ray itself tries a dead address for minutes, and tells the rest in tracebacks. So the cluster is asked once beforehand:
whether it listens, takes our token, and has our versions.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ray._common.network_utils import parse_address  # pyright: ignore[reportAttributeAccessIssue] (compiled)
from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
from ray._private import ray_constants, services
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
from ray._private.utils import check_version_info, compute_version_info
from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue] (compiled)
from ray.exceptions import AuthenticationError

from mfsweep.errors import ResourceError

LARGEST_PORT = 65535
CONNECT_SECONDS = 10.0
"""How long an address is given to take a connection."""
ANSWER_SECONDS = 30.0
"""How long what listens there is given to answer as a Ray cluster does."""

_JOB = "submit the run as a job: `ray job submit --address http://HOST:8265 -- mfsweep run ...`"


def reachable(address: str) -> str:
    """Return `host:port` of the cluster that RAY_ADDRESS names.

    Args:
        address: value of RAY_ADDRESS, not `local`.

    Raises:
        ResourceError: it names no cluster that this process can join, with the way on.
    """
    found = _resolved(address)
    host, port = parse_address(found)
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        raise _none_answers(address, found, error) from error
    _require_same_versions(address, _metadata(address, found))
    if not services.find_node_ids():
        raise _no_node(address)
    return found


def not_joined(address: str, error: BaseException) -> ResourceError:
    """Return what to say where Ray could not join a cluster for another reason."""
    said = f"{error} {error.__cause__}"
    if "No node info found" in said:  # of raylets, this machine may have other clusters' only
        return _no_node(address)
    return ResourceError(
        f"RAY_ADDRESS={address}: the cluster cannot be joined: {_first_line(error.__cause__ or error)}"
    )


def _resolved(address: str) -> str:
    """Return `host:port`, of `auto` that of the cluster on this machine."""
    scheme, separator, rest = address.partition("://")
    if separator:
        port = "10001" if scheme == "ray" else "8265"
        what = "Ray Client's, through which no sweep can run" if scheme == "ray" else "the dashboard's"
        host = rest.partition("/")[0].rpartition(":")[0] or rest.partition("/")[0]
        raise ResourceError(
            f"RAY_ADDRESS={address}: expected host:port of a cluster's head, got an address like {what} (port {port}). "
            f"On a node of the cluster set RAY_ADDRESS={host}:{ray_constants.DEFAULT_PORT}; from elsewhere {_JOB}; or "
            "unset it, and a cluster is started here"
        )
    if address == "auto":
        try:
            found = services.canonicalize_bootstrap_address(address)
        except (ConnectionError, ValueError) as error:
            raise _none_answers(address, "this machine", error) from error
        assert found, "of `auto` there is an address or an error"
        return found
    parsed = parse_address(address)
    if parsed is None or not parsed[0] or not (parsed[1].isdecimal() and int(parsed[1]) <= LARGEST_PORT):
        raise ResourceError(
            f"RAY_ADDRESS={address}: expected host:port of a cluster's head, for example "
            f"{address.rstrip(':')}:{ray_constants.DEFAULT_PORT}; or unset it, and a cluster is started here"
        )
    return address


def _metadata(address: str, found: str) -> dict[str, Any]:
    """Return what the cluster's head says of itself."""
    said: list[Any] = []

    def ask() -> None:
        try:
            ensure_token_if_auth_enabled(create_token_if_missing=False)  # else the client ends the process
            client = GcsClient(address=found)
            said.append(client.internal_kv_get(CLUSTER_METADATA_KEY, ray_constants.KV_NAMESPACE_CLUSTER))
        except Exception as error:  # noqa: BLE001 (told by the caller)
            said.append(error)

    # It has no time limit of its own that would hold where something else than a Ray cluster listens.
    asking = threading.Thread(target=ask, daemon=True)
    with _silent():
        asking.start()
        asking.join(ANSWER_SECONDS)
    if not said:
        raise _none_answers(address, found, TimeoutError(f"what listens there is silent for {ANSWER_SECONDS:g} s"))
    if isinstance(said[0], Exception):
        if isinstance(said[0], AuthenticationError) or "AuthToken" in str(said[0]):
            raise ResourceError(
                f"RAY_ADDRESS={address}: that cluster asks for a token, and this process has none or another. Set "
                "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the head's token "
                "(`ray get-auth-token` prints it there)"
            ) from said[0]
        raise _none_answers(address, found, said[0]) from said[0]
    return json.loads(said[0]) if said[0] else {}


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray's compiled parts write on stderr from the screen: it is told in a sentence."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _require_same_versions(address: str, metadata: dict[str, Any]) -> None:
    if not metadata:
        return
    try:
        check_version_info(metadata, "this machine")
    except RuntimeError as error:
        has, python, *_ = compute_version_info()
        raise ResourceError(
            f"RAY_ADDRESS={address}: that cluster has Ray {metadata['ray_version']} and Python "
            f"{metadata['python_version']}, this process Ray {has} and Python {python}: a run needs the same on all "
            f"nodes. Install `ray=={has}` there or `ray=={metadata['ray_version']}` here, or {_JOB}"
        ) from error


def _no_node(address: str) -> ResourceError:
    return ResourceError(
        f"RAY_ADDRESS={address}: a cluster answers there, but this machine is none of its nodes. Run on one of them "
        f"(`ray start --address={address}` makes this machine one), or {_JOB}"
    )


def _none_answers(address: str, where: str, error: BaseException) -> ResourceError:
    at = "" if where == address else f" ({where})"
    return ResourceError(
        f"RAY_ADDRESS={address}{at}: no Ray cluster answers there: {_first_line(error)}. Start one with "
        "`ray start --head`, or unset RAY_ADDRESS, and one is started here"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
