"""What modules below say while a stage is performed goes into the stage's log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from mfsweep.store import StageFolder


@contextlib.contextmanager
def warnings_to(folder: StageFolder) -> Iterator[None]:
    """Add the warnings of mfsweep's loggers in this process to a stage's log."""
    handler = _Sayer(folder)
    logger = logging.getLogger("mfsweep")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Sayer(logging.Handler):
    def __init__(self, folder: StageFolder) -> None:
        super().__init__(logging.WARNING)
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a log that is lost must not end a training
            self._folder.say(self.format(record))
