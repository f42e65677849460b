"""`mfsweep init` and `mfsweep schema`: a first spec for a data set, and the language of specs for editors."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.errors import DataError, SpecError

if TYPE_CHECKING:
    from mfsweep.starter import Start


@click.command()
@click.argument("source")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The spec.  [default: NAME.yaml]")
@click.option("--name", help="Name of the spec.  [default: that of the file]")
@click.option("--target", help="Label method whose error counts.  [default: the dearest one by its name]")
def init(source: str, output: Path | None, name: str | None, target: str | None) -> None:
    """Write a first spec, with comments, for SOURCE: a data set, an ANI-1x file, or bundled:NAME.

    It picks label methods, sizes and a partition that the data can fill. Change what you like, then plan it.

    \b
    Examples:  mfsweep init bundled:mini-ccx
               mfsweep init own.h5 -o first.yaml --target cc
    """  # noqa: D301
    from mfsweep.data.source import BUNDLED, resolve
    from mfsweep.starter import look

    path = resolve(source, Path.cwd())
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "first"
    name = name if name[0].isalpha() else f"s-{name}"
    output = output or Path(f"{name}.yaml")
    if output.exists():
        raise DataError(f"{output}: is there already: name another file with --output")
    if not output.absolute().parent.is_dir():
        raise DataError(f"{output}: no folder {output.absolute().parent}")
    written = source if source.startswith(BUNDLED) else os.path.relpath(path, output.absolute().parent)
    start = look(path, written, name, target)
    text = _fitting(start, output)
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output}: target {start.target}, auxiliary method {start.auxiliary or 'none'}")
    click.echo(f"Next: mfsweep plan {output}, then mfsweep run {output} --smoke")


def _fitting(start: Start, output: Path) -> str:
    """Return the text of the first proposal that the data can fill.

    Raises:
        DataError: none can be.
    """
    from mfsweep.data.view import open_view
    from mfsweep.prepare import Plan, prepare
    from mfsweep.starter import proposals, text

    def plan(spec: str) -> Plan:
        trial = output.absolute().with_name(f".{output.name}.trial-{os.getpid()}")
        try:
            trial.write_text(spec, encoding="utf-8")
            return prepare(trial, Path(os.devnull) / "no-store")
        finally:
            trial.unlink(missing_ok=True)

    last: Exception | None = None
    for by in (None, "structure"):
        for sizes in proposals(start):
            try:
                pool = 0
                if start.auxiliary:
                    # Planned once with a pool of one, which says how large it is.
                    first = plan(text(start, sizes, 1, by=by))
                    node = next(iter(first.graph.nodes.values()))
                    pool = len(open_view(first.sources, first.data(node)).partition.train["b"])
                spec = text(start, sizes, pool, by=by)
                plan(spec)
            except (DataError, SpecError) as error:
                last = last or error
                continue
            return spec
    with contextlib.suppress(ValueError):
        last = last and DataError(str(last).split(": ", 2)[-1])
    raise DataError(
        f"{start.source}: no partition was found that leaves training, validation and test structures with "
        f"{start.target} labels ({start.both} have them"
        + (f", together with {start.auxiliary}" if start.auxiliary else "")
        + f"){f': {last}' if last else ''}"
    )


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
