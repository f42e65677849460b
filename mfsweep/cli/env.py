"""`mfsweep env`: packages that an architecture needs beside the environment's."""

from __future__ import annotations

import click


@click.command()
@click.argument("architecture")
def env(architecture: str) -> None:
    """Install what ARCHITECTURE needs beside the environment, for the workers of its stages; once is enough.

    The packages go into a folder inside the Python environment, or under MFSWEEP_OVERLAYS.
    """
    from mfsweep.models import overlay

    click.echo(overlay.build(architecture))
