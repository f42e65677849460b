"""The standard streams of a command, whose reader may leave before the end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

_READER_GONE = (errno.EPIPE, errno.EIO)
"""What a pipe (`mfsweep run ... | head`) gives, and a terminal that was closed."""


@contextlib.contextmanager
def lenient_output() -> Iterator[None]:
    """Let a command go on to its end, and return what it would, when the reader of its output leaves."""
    before = sys.stdout, sys.stderr
    streams = [_Lenient(stream) for stream in before]
    sys.stdout, sys.stderr = (cast("TextIO", stream) for stream in streams)
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()  # at exit it would be too late
        sys.stdout, sys.stderr = before


class _Lenient:
    """A text stream that, once its reader has left, takes what is written and drops it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, unless the reader has left."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush, unless the reader has left."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _READER_GONE:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)  # for what Python still holds back, too
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
