"""What asks a stage to save its state now and to end where it is.

Either its node is about to go: Ray drains it, because Kubernetes sends SIGTERM to `ray start --block`, or somebody (or
what watches for a spot machine's notice) calls `ray drain-node`. Then the stage goes on elsewhere.

Or the run is to end, by Ctrl-C, SIGTERM or `ray job stop`: the driver leaves a file in the run's scratch folder.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ray._private import state
from ray.exceptions import RayError

LOOK_SECONDS = 3.0
"""Between two looks. Kubernetes gives 30 s, AWS and GCP 120 and 30."""
STOP = "stop"
"""Name of the file in a run's scratch folder that ends its stages."""


class Stopped(Exception):  # noqa: N818 (no error: the run is to end)
    """A stage that waits for its workers is to end with the run."""


class Leaving(Exception):  # noqa: N818 (no error: the stage goes on elsewhere)
    """The node of a stage's only worker is about to go; its state is saved."""


def draining() -> set[str]:
    """Return the ids of the nodes that are about to go; none where the cluster does not answer."""
    with contextlib.suppress(RayError, RuntimeError, OSError, ValueError):
        return set(state.state.get_draining_nodes())  # what Ray Train's own watcher asks
    return set()


def stop(scratch: Path) -> None:
    """Ask the stages of a run to save their state and to end."""
    with contextlib.suppress(OSError):  # then they end as they did before: at their next validation
        (scratch / STOP).touch()


def has_stopped(scratch: str | Path) -> bool:
    """Return whether the stages of a run were asked to end; a file system that does not answer asks for nothing."""
    with contextlib.suppress(OSError):
        return (Path(scratch) / STOP).exists()
    return False


class Notice:
    """Looks for what asks a stage to leave, in a thread. Use as a context manager around the stage.

    Args:
        nodes: returns rank -> id of its node, and host.
        scratch: the run's scratch folder.
    """

    def __init__(self, nodes: Callable[[], Mapping[int, tuple[str, str]]], scratch: str | Path) -> None:
        self._nodes = nodes
        self._scratch = scratch
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mfsweep-notice", daemon=True)
        self.going: dict[str, list[int]] = {}
        """Host that is about to go -> its ranks."""
        self.is_end = False
        """Whether the run is to end."""

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more. A look that waits for the cluster's answer is not waited for."""
        self._ended.set()

    def came(self) -> bool:
        """Return whether there is something that asks the stage to leave."""
        return self.is_end or bool(self.going)

    def __str__(self) -> str:
        """Say which machines go, and with which ranks."""
        named = (f"{host} with rank {', '.join(map(str, ranks))}" for host, ranks in self.going.items())
        return f"the node {' and '.join(named)} is about to go"

    def look(self) -> None:
        """Look once."""
        self.is_end = self.is_end or has_stopped(self._scratch)
        nodes = self._nodes()
        if not nodes:
            return
        going: dict[str, list[int]] = {}
        away = draining()
        for rank, (node, host) in sorted(nodes.items()):
            if node in away:
                going.setdefault(host, []).append(rank)
        self.going = going

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look()
