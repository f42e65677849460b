"""`mfsweep store`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.filesize import decimal
from rich.table import Table

from mfsweep.cli.options import as_json, console, open_store, print_json, store_option, writable
from mfsweep.cli.stored import seconds, stage_table, sweep_table
from mfsweep.files import near
from mfsweep.quantities import count
from mfsweep.store.contents import STATES
from mfsweep.sweep.store import Store

if TYPE_CHECKING:
    from mfsweep.store.verify import Verified
    from mfsweep.sweep.sharing import SharedStages
    from mfsweep.sweep.unneeded import PrunedStore

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
        print_json(_plain(verified, [str(found) for found in left], mended=mend))
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
        print_json({"kinds": kinds, "trained": held.trained, "begun": held.begun})
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
_older_than = click.option(
    "--older-than", metavar="AGE", callback=seconds, help="Only what was written so long ago: 12h, 30d or 8w."
)


def _between_stores(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the URL of another store, stages by their names, and the store here."""
    for option in (as_json, store_option, _selection, click.argument("url")):
        command = option(command)
    return command


@store.command()
@_selection
@store_option
@click.option("--state", type=click.Choice(STATES), help="Only stages in this state.")
@_older_than
@as_json
def ls(names: tuple[str, ...], store: Path, state: str | None, older_than: float, *, as_json: bool) -> None:
    """List what the store holds: the sweeps, and the stages, those written longest ago first.

    SPEC is a file, or the name of a spec that was run; STAGE the first letters of a key. `written` is when the record
    of a stage was written here, or its newest file where it has none. A stage that no spec's latest run needs has no
    name.

    \b
    Examples:  mfsweep store ls --store mfsweep-store
               mfsweep store ls quickstart --state failed
               mfsweep store ls --older-than 30d --json
    """  # noqa: D301
    held = open_store(store).contents(*names)
    before = time.time() - older_than if older_than else math.inf
    stages = [one for one in held.stages.values() if state in (None, one.state) and one.written < before]
    if as_json:
        rows = {"sweeps": held.sweeps, "stages": stages}
        print_json({name: [one.as_json() for one in found] for name, found in rows.items()})
        return
    screen = console()
    if held.sweeps:
        screen.print(sweep_table(held.sweeps))
    if stages:
        screen.print(stage_table(stages))
    screen.print(f"{count(len(stages), 'stage')}, {decimal(sum(one.bytes for one in stages))}")


@store.command()
@store_option
@click.option(
    "--keep", multiple=True, metavar="SPEC|STAGE", help="Every stage may go that this does not need; may be repeated."
)
@click.option("--unfinished", is_flag=True, help="Stages may go that were begun, or failed, and are not trained.")
@_older_than
@click.option("--yes", is_flag=True, help="Remove it. Without, it is only said what would go.")
@as_json
def prune(
    store: Path,
    *,
    keep: tuple[str, ...],
    unfinished: bool,
    older_than: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Say what nobody needs of the store, and with --yes remove it.

    That is: what was set aside as damaged, the states that finished trainings went on from, what killed processes have
    left. With --keep also every stage that the specs and stages named there do not need; without it no trained stage
    goes. What a run is at stays, and all that its spec needs; one of which nothing was heard for long is watched for 90
    s, to see whether it has died. Reports and MLflow's runs stay. Do not begin a run of a spec whose stages go at the
    same moment.

    \b
    Examples:  mfsweep store prune --keep first.yaml --keep quickstart
               mfsweep store prune --keep first.yaml --older-than 30d --yes
               mfsweep store prune --unfinished --older-than 2w
    """  # noqa: D301
    if yes:
        writable(store)
    beside = console(stderr=True)
    pruned = open_store(store).prune(
        *keep,
        unfinished=unfinished,
        older_than=older_than,
        remove=yes,
        say=lambda text: beside.print(text, soft_wrap=True, markup=False),
    )
    if as_json:
        print_json(pruned.as_json())
    else:
        screen = console()
        for one in (*pruned.stages, *pruned.leftovers):
            said = f"{one.name}: {one.why}, {decimal(one.bytes)}"
            screen.print(said, soft_wrap=True, markup=False)
        for sentence in pruned.left:
            screen.print(sentence, style="yellow", soft_wrap=True, markup=False)
        screen.print(_said_pruned(pruned), soft_wrap=True)


@store.command()
@_between_stores
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
@_between_stores
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
        print_json(shared._asdict(), indent=None)
    else:
        screen = console()
        for sentence in shared.damaged:
            screen.print(f"left out: {sentence}", style="yellow", soft_wrap=True, markup=False)
        left = f", {len(shared.damaged)} left out" if shared.damaged else ""
        copied = f"{shared.copied:,} of {count(shared.stages, 'trained stage')} copied{left}"
        screen.print(f"{copied}; the others are {where} already.", soft_wrap=True, markup=False, highlight=False)
    return DAMAGED if shared.damaged else 0


def _said_pruned(pruned: PrunedStore) -> str:
    found = f"{count(len(pruned.stages), 'stage')} and {count(len(pruned.leftovers), 'leftover file')}"
    if pruned.removed:
        return f"{found} removed: {decimal(pruned.bytes)} freed."
    if not pruned.stages and not pruned.leftovers:
        return "Nothing to remove."
    return f"{found} to remove, {decimal(pruned.bytes)}. --yes removes them."


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
