"""`mfsweep env`: packages that an architecture needs beside the environment's."""

from __future__ import annotations

import click

from mfsweep.models import overlay


@click.group()
def env() -> None:
    """Install what an architecture needs beside the environment, in a folder of its own."""


@env.command()
def allegro() -> None:
    """Install nequip-allegro and its e3nn for the workers of `architecture: allegro`; once is enough.

    They go into a folder inside the Python environment, or under MFSWEEP_OVERLAYS.
    """
    click.echo(overlay.build("allegro"))
