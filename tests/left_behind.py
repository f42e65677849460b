"""What a test leaves behind: the processes that it started, or that they started."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator

import psutil

MARK = "MFSWEEP_TEST_MARK"
SECONDS = 60.0
"""For which those that end are waited for."""


@contextlib.contextmanager
def no_process_left() -> Iterator[None]:
    """Fail where a process that is started in the context, or by one of them, does not end with it.

    They are known by a variable of their environment, which children inherit.
    """
    mark = secrets.token_hex(8)
    before = os.environ.get(MARK)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        if before is None:
            del os.environ[MARK]
        else:
            os.environ[MARK] = before
    deadline = time.monotonic() + SECONDS
    while (left := processes_with(MARK, mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"still running: {left}"


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """Return the processes that have a variable in their environment, but not this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
    return found
