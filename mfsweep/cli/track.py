"""`mfsweep track`: the mirror of a store in MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import console, store_option, writable


@click.group()
def track() -> None:
    """Look after mlflow.db, in which a store mirrors its runs."""


@track.command("rebuild")
@store_option
def rebuild_command(store: Path) -> None:
    """Write what mlflow.db lacks of the store's sweeps, from their records.

    It is made where it is missing; one that is damaged, or was half made, is set aside by name first. `mfsweep run`
    does the same for itself; this is for a file that was removed, or that could not be used for a while.

    \b
    Example:  mfsweep track rebuild --store mfsweep-store
    """  # noqa: D301
    from mfsweep.errors import StoreError
    from mfsweep.run.rebuild import rebuild
    from mfsweep.store import StoreFolder

    found = StoreFolder(store.absolute())
    if not found.sweeps.is_dir():
        raise StoreError(f"{found.root}: no store: nothing has been run into it. Name another with --store")
    writable(store)
    screen = console()
    rebuild(found, lambda text: screen.print(text, soft_wrap=True, markup=False))
