"""`mfsweep data`: a group's own data, from files to a data set, and what can be said of them before any training."""

from __future__ import annotations

import click

from mfsweep.cli.data.adding import add
from mfsweep.cli.data.exporting import export
from mfsweep.cli.data.fetch import fetch_
from mfsweep.cli.data.importing import import_
from mfsweep.cli.data.info import info
from mfsweep.cli.data.label import label
from mfsweep.cli.data.listing import list_
from mfsweep.cli.data.residuals import residuals
from mfsweep.cli.data.split import split


@click.group()
def data() -> None:
    """Bring data in, label them, look at them: no training."""


data.add_command(add)
data.add_command(info)
data.add_command(export)
data.add_command(fetch_)
data.add_command(import_)
data.add_command(label)
data.add_command(list_)
data.add_command(residuals)
data.add_command(split)
