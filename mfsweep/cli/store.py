"""`mfsweep store`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.options import as_json, console, require_store, store_option

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
    from mfsweep.store import Store
    from mfsweep.store import verify as verifying

    require_store(store)
    opened = Store(store.absolute())
    verified = verifying.verify(opened)
    left = verifying.mend(opened, verified.findings) if mend else verified.findings
    if as_json:
        click.echo(json.dumps(_plain(verified, [str(found) for found in left], mended=mend), indent=1))
    else:
        screen = console()
        for found in left:
            screen.print(str(found), style="yellow", soft_wrap=True, markup=False)
        screen.print(_said(verified, len(left), mended=mend), soft_wrap=True)
    ctx.exit(DAMAGED if left else 0)


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
