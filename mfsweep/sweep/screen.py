"""The console on which a sweep says what goes on: of a terminal, of a file or pipe, or of a notebook's cell."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 10_000
"""Columns of what is no terminal: nothing is cut or folded there, unless COLUMNS says how wide it is."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on the standard output, or on the standard error."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH
    if type(stream).__module__.startswith("ipykernel"):
        # Plain lines below the cell: rich would make each an output of its own, or, since the kernel asks for colours
        # by FORCE_COLOR, take it for a terminal, whose cursor it is not able to move.
        return Console(stderr=stderr, width=width, highlight=False, force_jupyter=False, force_terminal=False)
    return Console(stderr=stderr, width=width, highlight=False)
