"""`mfsweep init` and `mfsweep schema`: a first spec for a data set, and the language of specs for editors."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import print_json


@click.command()
@click.argument("source")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The spec.  [default: NAME.yaml]")
@click.option("--name", help="Name of the spec.  [default: that of the file]")
@click.option("--target", help="Label method whose error counts.  [default: the dearest one by its name]")
def init(source: str, output: Path | None, name: str | None, target: str | None) -> None:
    """Write a first spec, with comments, for SOURCE: a data set, any file that can be imported, or bundled:NAME.

    It picks label methods, sizes and a partition that the data can fill. Change what you like, then plan it. SOURCE may
    be one of the ready specs too, `quickstart` or `mini/fig3`, which is written as it is.

    \b
    Examples:  mfsweep init quickstart
               mfsweep init bundled:mini-ccx
               mfsweep init own.h5 -o first.yaml --target cc
               mfsweep init trajectory.xyz
    """  # noqa: D301
    from mfsweep.sweep.first_spec import write_first_spec

    spec, start = write_first_spec(source, output, name=name, target=target)
    if start is None:
        click.echo(f"{spec}: the ready spec {source}")
    else:
        click.echo(f"{spec}: target {start.target}, auxiliary method {start.auxiliary or 'none'}")
        if start.auxiliary and start.auxiliary not in start.needs:
            click.echo(f"{start.target} and {start.auxiliary} are mostly on different structures")
    click.echo(f"Next: mfsweep plan {spec}, then mfsweep run {spec} --smoke")


@click.command()
def schema() -> None:
    """Print the JSON Schema of specs, with which editors complete and check them.

    \b
    Example:  mfsweep schema > mfsweep.schema.json
    and, as the first line of a spec (VS Code with the YAML extension, and others):
              # yaml-language-server: $schema=mfsweep.schema.json
    """  # noqa: D301
    from mfsweep.spec.schema import json_schema

    print_json(json_schema())
