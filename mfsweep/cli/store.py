"""`mfsweep store`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal
from rich.table import Table

from mfsweep.cli.options import as_json, console, open_store, store_option

if TYPE_CHECKING:
    from mfsweep.store.verify import Verified

DAMAGED = 1
"""Exit code where something is damaged, and stays so."""


@click.group()
def store() -> None:
    """Look after a store."""


@store.command()
@store_option
@click.option("--mend", is_flag=True, help="Rename what is damaged to NAME.damaged-1, so that it is made again.")
@as_json
@click.pass_context
def verify(ctx: click.Context, store: Path, *, mend: bool, as_json: bool) -> None:
    """Read every file of the store whole, and name what is damaged: records, weights, predictions, databases.

    `status`, `fit`, `report` and `run` go on without what is damaged. A run makes again what its spec needs. --mend
    does the first half of that for the whole store: nothing is deleted, and the next run of each spec makes it again.

    \b
    Examples:  mfsweep store verify --store mfsweep-store
               mfsweep store verify --mend
    """  # noqa: D301
    opened = open_store(store)
    verified = opened.verify()
    left = (opened.mend(verified) if mend else verified).findings
    if as_json:
        click.echo(json.dumps(_plain(verified, [str(found) for found in left], mended=mend), indent=1))
    else:
        screen = console()
        for found in left:
            screen.print(str(found), style="yellow", soft_wrap=True, markup=False)
        screen.print(_said(verified, len(left), mended=mend), soft_wrap=True)
    ctx.exit(DAMAGED if left else 0)


@store.command()
@store_option
@as_json
def du(store: Path, *, as_json: bool) -> None:
    """Say what the store takes on its disk, by kind of file, and what a trained stage takes.

    \b
    Examples:  mfsweep store du --store mfsweep-store
               mfsweep store du --json
    """  # noqa: D301
    held = open_store(store).usage()
    if as_json:
        kinds = {kind: one._asdict() for kind, one in held.kinds.items()}
        click.echo(json.dumps({"kinds": kinds, "trained": held.trained, "begun": held.begun}, indent=1))
        return
    table = Table("files", box=None)
    for name in ("number", "size"):
        table.add_column(name, justify="right")
    for kind, (files, size) in [*held.kinds.items(), ("all", held.total)]:
        table.add_row(kind, f"{files:,}", decimal(size))
    console().print(table)
    stages = f"{held.trained:,} trained stages" + (f", {held.begun:,} begun" if held.begun else "")
    click.echo(stages + (f"; {decimal(int(held.per_stage))} a trained stage" if held.trained else ""))


def _plain(verified: Verified, left: list[str], *, mended: bool) -> dict[str, object]:
    set_aside = len(verified.findings) - len(left) if mended else 0
    counts = {"stages": verified.stages, "evaluations": verified.evaluations, "set_aside": set_aside}
    return {**counts, "damaged": left}


def _said(verified: Verified, left: int, *, mended: bool) -> str:
    looked = f"{verified.stages:,} stages, {verified.evaluations:,} evaluations"
    if not verified.findings:
        return f"{looked}: all whole."
    if mended:
        return f"{looked}: {len(verified.findings) - left} damaged files set aside, {left} left as they are."
    return f"{looked}: {left} damaged. --mend sets them aside, so that `mfsweep run` makes them again."
