"""`mfsweep data info`."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import as_json, console, print_json

labels_option = click.option(
    "--labels",
    multiple=True,
    metavar="NAME=KEY[,KEY]",
    help="A label method: keys of its energies and forces. Default: each pair X.energy, X.forces under the name X.",
)


@click.command()
@click.argument("source", metavar="SOURCE", type=str)
@labels_option
@click.option(
    "--threshold",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Robust z-score (distance from the median over 1.4826 times the median absolute deviation) of an outlier.",
)
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw sizes, energies and differences of the methods into this file (.png, .svg or .pdf).",
)
@as_json
def info(source: str, labels: tuple[str, ...], threshold: float, figure: Path | None, *, as_json: bool) -> None:
    """Show what is in SOURCE, a data set or any file that can be imported, and what looks wrong with it.

    Sizes, elements, label methods and how far they are from one another once each one's energy offsets are off,
    structures that stand in it twice, outliers, a guess at wrong units, where it comes from and what its labels cost.
    Of a data set every array is first compared with its digest. Of a file of the ANI-1x layout all labels are read
    into memory: --labels picks some. Nothing is changed.

    \b
    Examples:  mfsweep data info bundled:mini-ccx
               mfsweep data info ani1x-release.h5 --labels "cc=ccsd(t)_cbs.energy"
               mfsweep data info molecules.h5 --json
               mfsweep data info molecules.h5 --figure molecules.png
    """  # noqa: D301
    from mfsweep.analysis import data_figure
    from mfsweep.cli.data import info_tables
    from mfsweep.data import dataset
    from mfsweep.data.survey.describe import describe
    from mfsweep.data.survey.info import plain
    from mfsweep.data.survey.opening import open_file

    if figure is not None:
        data_figure.require_suffix(figure)
    opened = open_file(source, labels)
    is_dataset = dataset.is_dataset(opened.path)
    if is_dataset:
        dataset.digests(opened.path)
    found = describe(opened.structures, threshold, opened.units, stated=is_dataset)
    costs = info_tables.costs(dataset.labellings(opened.path)) if is_dataset else {}
    provenance = dataset.provenance(opened.path) if is_dataset else None
    if figure is not None:
        data_figure.save(data_figure.draw(info_tables.drawn(opened.path.name, found)), figure)
    if as_json:
        about = {
            "file": str(opened.path),
            "layout": opened.layout,
            "other_keys": opened.other_keys,
            "notes": opened.notes,
        }
        whole = {**about, **found._asdict(), "labelling": costs, "provenance": provenance or {}}
        print_json(plain(whole))
        return
    info_tables.print_info(console(), opened, found, provenance)
    info_tables.print_origin(console(), costs, provenance or {})
    if figure is not None:
        click.echo(figure)
