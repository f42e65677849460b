"""What modules below say while a stage is performed goes into the stage's log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def warnings_to(log: Path) -> Iterator[None]:
    """Append the warnings of mfsweep's loggers in this process to a file."""
    handler = _Appender(log)
    logger = logging.getLogger("mfsweep")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Appender(logging.Handler):
    """Opens the file for each line, as all do who write into it: the trial, and the ranks."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a log that is lost must not end a training
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{self.format(record)}\n")
