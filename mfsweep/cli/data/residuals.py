"""`mfsweep data residuals`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.options import as_json, console, opened, print_json, spec_and_store

if TYPE_CHECKING:
    from rich.console import Console

    from mfsweep.analysis.study import Differences


@click.command()
@spec_and_store
@as_json
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the figure; default: figures/ of the sweep in the store.",
)
def residuals(spec: Path, store: Path, *, as_json: bool, out: Path | None) -> None:
    """Show what the label methods of SPEC differ by from its target once each one's energy offsets are off.

    Mean absolute difference, correlation, and a histogram: of the spec's figures of kind `residuals`, or of the target
    against every other method.

    \b
    Examples:  mfsweep data residuals search_spaces/quickstart.yaml
               mfsweep data residuals search_spaces/quickstart.yaml --json --out pictures
    """  # noqa: D301
    written = opened(spec, store).residuals(out)
    if as_json:
        print_json(written.as_json())
        return
    _print(console(), written.differences)
    for path in written.files:
        click.echo(path)


def _print(console: Console, found: Mapping[str, Differences]) -> None:
    """Print a table for each figure."""
    from rich.table import Table

    for name, one in found.items():
        title = f"{name}: {one.target} less each method, {one.values.shape[1]:,} structures"
        table = Table(box=None, pad_edge=False, title=title, title_justify="left")
        table.add_column("method")
        table.add_column("mean abs, meV/atom", justify="right")
        for method in one.methods:
            table.add_column(f"Pearson with {method}", justify="right")
        for method, values, row in zip(one.methods, one.values, one.pearson, strict=True):
            table.add_row(method, f"{abs(values).mean():.1f}", *(f"{value:.2f}" for value in row))
        console.print(table)
