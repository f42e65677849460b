"""`mfsweep store`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal
from rich.table import Table

from mfsweep.cli.options import as_json, console, open_store, store_option
from mfsweep.files import near
from mfsweep.quantities import count
from mfsweep.sweep.store import Store

if TYPE_CHECKING:
    from mfsweep.store.verify import Verified
    from mfsweep.sweep.sharing import SharedStages

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


_selection = click.argument("names", metavar="[SPEC|STAGE]...", nargs=-1)


@store.command()
@click.argument("url")
@_selection
@store_option
@as_json
@click.pass_context
def push(ctx: click.Context, url: str, names: tuple[str, ...], store: Path, *, as_json: bool) -> None:
    """Put the trained stages of the store to URL, s3://bucket/prefix: all of them, or those of SPECs and STAGEs.

    SPEC is a file, or the name of a spec that was run; STAGE the first letters of a key. What is at URL already is left
    as it is, so that a command that broke off can be given again. Nothing that is damaged is put.

    \b
    Examples:  mfsweep store push s3://lab/stores/methane
               mfsweep store push s3://lab/stores/methane quickstart 3f9a --store mfsweep-store
    """  # noqa: D301
    opened = open_store(store)
    with _progress("Putting stages", beside=as_json) as told:
        shared = opened.push(url, *names, told=told)
    ctx.exit(_say_shared(shared, f"at {url}", as_json=as_json))


@store.command()
@click.argument("url")
@_selection
@store_option
@as_json
@click.pass_context
def pull(ctx: click.Context, url: str, names: tuple[str, ...], store: Path, *, as_json: bool) -> None:
    """Copy the trained stages of the store at URL into this one, with weights; arguments as of push.

    Every file is compared with its sha256 before it counts as there.

    \b
    Examples:  mfsweep store pull s3://lab/stores/methane --store mfsweep-store
               mfsweep store pull s3://lab/stores/methane search_spaces/quickstart.yaml
    """  # noqa: D301
    with _progress("Copying stages", beside=as_json) as told:
        shared = Store.pull(url, store, *names, told=told)
    ctx.exit(_say_shared(shared, f"in {near(store.absolute())}", as_json=as_json))


@contextlib.contextmanager
def _progress(what: str, *, beside: bool) -> Iterator[Callable[[int, int], object]]:
    """Show how many stages were looked at."""
    with console(stderr=beside).status(f"{what} ...") as status:
        yield lambda done, total: status.update(f"{what}: {done:,} of {total:,}")


def _say_shared(shared: SharedStages, where: str, *, as_json: bool) -> int:
    """Say what was copied; return the exit code."""
    if as_json:
        click.echo(json.dumps(shared._asdict()))
    else:
        screen = console()
        for sentence in shared.damaged:
            screen.print(f"left out: {sentence}", style="yellow", soft_wrap=True, markup=False)
        left = f", {len(shared.damaged)} left out" if shared.damaged else ""
        copied = f"{shared.copied:,} of {count(shared.stages, 'trained stage')} copied{left}"
        screen.print(f"{copied}; the others are {where} already.", soft_wrap=True, markup=False, highlight=False)
    return DAMAGED if shared.damaged else 0


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
