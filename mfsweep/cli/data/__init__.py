"""`mfsweep data`: a group's own data, from files to a data store, and what can be said of them before any training."""

from __future__ import annotations

import click

from mfsweep.cli.data.residuals import residuals


@click.group()
def data() -> None:
    """Bring data in, label them, look at them: no training."""


data.add_command(residuals)
