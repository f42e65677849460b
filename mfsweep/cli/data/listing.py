"""`mfsweep data list`."""

from __future__ import annotations

import click

from mfsweep.cli.options import as_json, console, print_json
from mfsweep.data.fetch import PUBLISHED


@click.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """List the data sets that come with mfsweep, and those that it can fetch.

    A bundled one goes into a spec, or into `data info`, by its name: `source: bundled:mini-ani`.

    \b
    Example:  mfsweep data list
    """  # noqa: D301
    from rich.table import Table

    from mfsweep.data.ani1x import counts
    from mfsweep.data.bundles import BUNDLED, bundles

    rows = [
        {"source": f"{BUNDLED}{one.name}", **counts(one.path)._asdict(), "labels": one.says, "page": str(one.page)}
        for one in bundles()
    ]
    if as_json:
        print_json({"bundled": rows, "published": sorted(PUBLISHED)})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("source", "structures", "formulae"):
        table.add_column(column, justify="left" if column == "source" else "right", no_wrap=True)
    table.add_column("labels")
    for row in rows:
        table.add_row(row["source"], f"{row['structures']:,}", str(row["formulae"]), row["labels"])
    for name in sorted(PUBLISHED):
        table.add_row(name, "", "", f"not bundled: `mfsweep data fetch {name}`")
    screen = console()
    screen.print(table)
    for row in rows:
        screen.print(f"How {row['source']} was made: {row['page']}", soft_wrap=True)
