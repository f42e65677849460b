"""`mfsweep data fetch`."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import console
from mfsweep.data.fetch import PUBLISHED


@click.command("fetch")
@click.argument("name", type=click.Choice(sorted(PUBLISHED)))
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to keep it in. Default: its own name, in this folder.",
)
def fetch_(name: str, target: Path | None) -> None:
    """Download a published data set, and verify it.

    ani1ccx: the ANI-1x release (5.6 GB, CC0), of which ANI-1ccx is the part with coupled-cluster energies. A download
    that broke off goes on where it stopped. Prints the command that imports it.

    \b
    Example:  mfsweep data fetch ani1ccx --to data/ani1x-release.h5
    """  # noqa: D301
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from mfsweep.data.fetch import fetch

    data = PUBLISHED[name]
    path = target or Path(data.file)
    columns = [BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    screen = console(stderr=True)
    columns.insert(0, TextColumn("{task.description}"))
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        tasks = {what: progress.add_task(what, total=data.bytes) for what in ("download", "verify")}
        fetch(data, path, progress=lambda what, done: progress.update(tasks[what], completed=done))
    click.echo(f"{path}: {data.bytes:,} bytes, MD5 {data.md5}. Import it with", err=True)
    click.echo(data.command(path))
