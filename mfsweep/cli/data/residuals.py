"""`mfsweep data residuals`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mfsweep.cli.options import as_json, console, prepared, spec_and_store


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
    plan = prepared(spec, store)
    from mfsweep.cli import residuals as shown

    figures = shown.wanted(plan)
    found = shown.differences(plan, figures)
    paths = shown.draw(plan, figures, found, out or plan.store.sweep(plan.name).figures)
    if as_json:
        click.echo(json.dumps({"figures": shown.as_json(found), "files": [str(path) for path in paths]}, indent=1))
        return
    shown.print_differences(console(), found)
    for path in paths:
        click.echo(path)
