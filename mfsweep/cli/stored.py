"""What a store holds, as tables; and how old it is, as an option says it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from mfsweep.store.contents import StoredStage, StoredSweep

_KEY = 8
"""Letters of a key in a table: enough to name a stage by."""
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(_: click.Context, __: click.Parameter, given: str | None) -> float:
    """Return an age as seconds; without one 0."""
    if given is None:
        return 0.0
    number, unit = given[:-1], given[-1:]
    if unit not in _SECONDS or not number.isdecimal():
        raise click.BadParameter(f"{given!r}: expected a number with h, d or w, for example 30d")
    return float(number) * _SECONDS[unit]


def sweep_table(sweeps: Sequence[StoredSweep]) -> Table:
    """Return the sweeps of a store."""
    table = Table("sweep", box=None, padding=(0, 1, 0, 0))
    for name in ("cells", "stages", "trained", "written", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sweeps:
        counts = (f"{number:,}" for number in (one.cells, len(one.keys), one.trained))
        table.add_row(escape(one.name), *counts, _day(one.written), decimal(one.bytes))
    return table


def stage_table(stages: Sequence[StoredStage]) -> Table:
    """Return the stages of a store; it fits into 80 columns where names are short."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("stage", "name", "state", "written", "size", "trained on"):
        fold = name in ("name", "trained on")
        table.add_column(
            name,
            justify="right" if name == "size" else "left",
            no_wrap=not fold,
            overflow="fold" if fold else "ellipsis",
        )
    for one in stages:
        more = f" +{len(one.names) - 1}" if len(one.names) > 1 else ""
        name = f"{one.names[0]}{more}" if one.names else "-"
        trained_on = ": ".join(text for text in (one.model, one.labels) if text)
        table.add_row(
            one.key[:_KEY], escape(name), one.state, _day(one.written), decimal(one.bytes), escape(trained_on)
        )
    return table


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
