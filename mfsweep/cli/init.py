"""`mfsweep init` and `mfsweep schema`: a first spec for a data set, and the language of specs for editors."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click

from mfsweep.errors import DataError
from mfsweep.spec.ready import ready


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
    from mfsweep.data.bundles import BUNDLED
    from mfsweep.data.source import resolve
    from mfsweep.sweep.starter import fitting, look

    if (spec := ready().get(source)) and not Path(source).exists():
        output = _free(output or Path(spec.name))
        output.write_text(spec.read_text(encoding="utf-8"), encoding="utf-8")
        click.echo(f"{output}: the ready spec {source}")
        _say_next(output)
        return
    path = resolve(source, Path.cwd())
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "first"
    name = name if name[0].isalpha() else f"s-{name}"
    output = _free(output or Path(f"{name}.yaml"))
    written = source if source.startswith(BUNDLED) else os.path.relpath(path, output.absolute().parent)
    start = look(path, written, name, target)
    output.write_text(fitting(start, output), encoding="utf-8")
    click.echo(f"{output}: target {start.target}, auxiliary method {start.auxiliary or 'none'}")
    _say_next(output)


def _free(output: Path) -> Path:
    """Return where the spec is to go.

    Raises:
        DataError: something is there already, or there is no such folder.
    """
    if output.exists():
        raise DataError(f"{output}: is there already: name another file with --output")
    if not output.absolute().parent.is_dir():
        raise DataError(f"{output}: no folder {output.absolute().parent}")
    return output


def _say_next(output: Path) -> None:
    click.echo(f"Next: mfsweep plan {output}, then mfsweep run {output} --smoke")


@click.command()
def schema() -> None:
    """Print the JSON Schema of specs, with which editors complete and check them.

    \b
    Example:  mfsweep schema > mfsweep.schema.json
    and, as the first line of a spec (VS Code with the YAML extension, and others):
              # yaml-language-server: $schema=mfsweep.schema.json
    """  # noqa: D301
    from mfsweep.spec.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1))
