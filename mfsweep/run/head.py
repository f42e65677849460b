"""The head of the cluster that a run is on: while it is away the run waits, and says so; then it ends in a sentence.

Ray's client waits without a word as long as RAY_gcs_rpc_server_reconnect_timeout_s has it (60 s), and then ends the
process from its compiled parts. A head that keeps its state (GCS fault tolerance) comes back at its address meanwhile,
and the run goes on; for another, the run leaves before Ray does. What it was at resumes from the store.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from ray._common.network_utils import parse_address  # pyright: ignore[reportAttributeAccessIssue] (compiled)

LOOK_SECONDS = 2.0
"""Between two looks at the head."""
SAID_SECONDS = 6.0
"""After so long without an answer it is said: a moment's is not worth a word."""
RAYS_SECONDS = 60.0
"""How long Ray waits where nobody sets it otherwise."""
MARGIN_SECONDS = 15.0
"""How long before Ray's end the run's own comes."""
ENDED = 1
"""Exit code: stages that were begun did not end."""


def patience() -> float:
    """Return for how long a run waits for a head that does not answer, seconds."""
    set_ = os.environ.get("RAY_gcs_rpc_server_reconnect_timeout_s", "")  # noqa: SIM112 (as Ray spells it)
    return max(2 * SAID_SECONDS, (float(set_) if set_.isdecimal() else RAYS_SECONDS) - MARGIN_SECONDS)


@contextlib.contextmanager
def watched(address: str, say: Callable[[str], object], leave: Callable[[int], object] = os._exit) -> Iterator[None]:
    """Watch the head at an address (`host:port`) meanwhile.

    Args:
        address: of the head's GCS.
        say: is told, from another thread, that the head is away, that it is back, and that the run ends.
        leave: ends the process with an exit code. The main thread may hang in a call to the head by then.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, say, leave, ended), name="mfsweep-head", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def say_on_stderr(text: str) -> None:
    """Print a line beside whatever the display prints."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (a command's answer)


def _watch(address: str, say: Callable[[str], object], leave: Callable[[int], object], ended: threading.Event) -> None:
    answered, said, most = time.monotonic(), False, patience()
    while not ended.wait(LOOK_SECONDS):
        if _answers(address):
            if said:
                say(f"The head of the Ray cluster at {address} answers again; the run goes on.")
            answered, said = time.monotonic(), False
            continue
        away = time.monotonic() - answered
        if away > SAID_SECONDS and not said:
            said = True
            say(
                f"The head of the Ray cluster at {address} does not answer. The run waits for it, {most:.0f} s in all "
                "(RAY_gcs_rpc_server_reconnect_timeout_s sets it)."
            )
        if away > most:
            say(
                f"mfsweep: the head of the Ray cluster at {address} has not answered for {away:.0f} s: the run ends. "
                "Start the cluster and run the same command again: what was done is kept, and stages go on from their "
                "last validation"
            )
            leave(ENDED)
            return


def _answers(address: str) -> bool:
    host, port = parse_address(address)
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), timeout=LOOK_SECONDS).close()
        return True
    return False
