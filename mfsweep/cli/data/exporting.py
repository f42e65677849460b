"""`mfsweep data export`."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import as_json, print_json


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--labels", metavar="NAME", multiple=True, help="A label method that goes along. Default: all.")
@click.option("--layout", type=click.Choice(["extxyz", "ani1x"]), help="Default: by the ending of TARGET.")
@click.option("--overwrite", is_flag=True, help="Replace TARGET where it exists.")
@as_json
def export(
    dataset: Path, target: Path, *, labels: tuple[str, ...], layout: str | None, overwrite: bool, as_json: bool
) -> None:
    """Write the structures and labels of the data set DATASET into TARGET, for other programs.

    extxyz (.xyz): eV, eV/Ang, Ang, every digit, cells too. HDF5 of the ANI-1x layout (.h5): hartree, hartree/Ang, Ang,
    no cells. What is printed last is the command that imports TARGET again.

    \b
    Examples:  mfsweep data export own.h5 own.xyz
               mfsweep data export own.h5 for-others.h5 --labels dft
    """  # noqa: D301
    from mfsweep.data.exporting import export as write

    done = write(dataset, target, labels, layout, overwrite=overwrite)
    if as_json:
        keys = {name: own.model_dump(exclude_none=True) for name, own in done.keys.items()}
        print_json({**done._asdict(), "keys": keys, "target": str(target)})
        return
    click.echo(f"{target}: {done.structures:,} structures, in {done.units}")
    for name, own in done.keys.items():
        click.echo(f"{name}: {own.energy}" + (f", {own.forces}" if own.forces else ""))
    click.echo(f"Imported again by: {done.command}")
