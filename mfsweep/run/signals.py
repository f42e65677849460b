"""SIGTERM and SIGHUP, by which Ray jobs and closed terminals end a process: as Ctrl-C does, at a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """Let the signals that ask a process to end do what SIGINT does; one that is ignored (`nohup`) stays so.

    Afterwards each is handled as before, and so is SIGINT: Tune leaves a handler that swallows the next one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) or signal.SIG_DFL for one in (*ENDINGS, signal.SIGINT)}
    for one in ENDINGS:
        if before[one] is not signal.SIG_IGN:
            signal.signal(one, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
