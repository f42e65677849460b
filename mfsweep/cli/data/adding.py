"""`mfsweep data add`."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import as_json, print_json


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.option("--labels", "method", metavar="NAME", required=True, help="The label method, in OTHER and in DATASET.")
@click.option("--as", "name", metavar="NAME", help="What the labels of both are called together. Default: as --labels.")
@click.option(
    "--replace",
    is_flag=True,
    help="DATASET may have labels of that name: old and new ones stand together, and stages that have read the old "
    "ones train anew.",
)
@as_json
def add(dataset: Path, other: Path, *, method: str, name: str | None, replace: bool, as_json: bool) -> None:
    """Give structures of DATASET the labels that the data set OTHER has of the same geometries.

    No structure comes in. Labels that DATASET has stay as they are; a structure with two different energies is refused.
    With --as the old labels and the new ones stand together under a new name: stages that have read the old name keep
    their results, and only what trains on the new name is new.

    \b
    Examples:  mfsweep data add pool.h5 chosen.h5 --labels cc --as cc_2
               mfsweep data add pool.h5 from-a-colleague.h5 --labels dft
    """  # noqa: D301
    from mfsweep.data.adding import add as add_labels

    done = add_labels(dataset, other, method, name, replace=replace)
    if as_json:
        print_json({"dataset": str(dataset), **done._asdict()})
        return
    click.echo(
        f"{dataset} has {done.name!r} for {done.labelled:,} of {done.structures:,} structures, {done.new:,} of them "
        f"new; {done.found:,} structures have a geometry that {other} labels ({done.offered:,})"
    )
