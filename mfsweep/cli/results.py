"""`mfsweep fit`, `mfsweep report` and `mfsweep ui`: what came out, in the terminal, on a page and in MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import (
    as_json,
    console,
    looked_at,
    print_json,
    readable,
    specs_and_store,
    store_option,
    writable,
)
from mfsweep.files import NOT_ALLOWED


@click.command()
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@store_option
@click.option(
    "--points",
    type=click.Path(path_type=Path),
    help="In place of SPEC, a CSV file: x, y and, where known, group, replicate, size, pretraining.",
)
@as_json
def fit(spec: Path | None, store: Path, points: Path | None, *, as_json: bool) -> None:
    """Fit the transfer laws of SPEC on what the store has so far, or one law through the points of a table.

    It also prints what pre-training changed, the claims, and what a search has found.

    \b
    Example:  mfsweep fit search_spaces/quickstart.yaml --json
              mfsweep fit --points errors.csv
    """  # noqa: D301
    if (spec is None) == (points is None):
        raise click.UsageError("SPEC or --points FILE, and not both.")
    if points is not None:
        _fit_points(points, as_json=as_json)
        return
    assert spec is not None
    analysed = looked_at(spec, store).results()
    if as_json:
        print_json(analysed.rows())
        return
    analysed.print(console())
    analysed.conclude(console())
    try:
        analysed.write_points()
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
        console(stderr=True).print(f"The points of the laws are not written: {error.filename}: {error.strerror}")


def _fit_points(path: Path, *, as_json: bool) -> None:
    from mfsweep.analysis.points_file import read_points
    from mfsweep.analysis.tables import law_table
    from mfsweep.analysis.transfer import fit as fit_law

    law = fit_law(path.stem, read_points(path))
    if as_json:
        print_json(law.as_rows())
        return
    out = console()
    out.print(law_table(law))
    for sentence in law.sentences(groups=False):
        out.print(sentence)


@click.command()
@specs_and_store
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the page and its figures, of a single SPEC; default: that of the sweep in the store.",
)
def report(specs: tuple[Path, ...], store: Path, out: Path | None) -> None:
    """Write one HTML page with the plan, tables, figures and provenance of SPEC.

    Of several, a page of all reports too: it judges their claims as one suite. Nothing is trained.

    \b
    Examples:  mfsweep report search_spaces/quickstart.yaml
               mfsweep report search_spaces/quickstart.yaml --store /theirs/store --out quickstart-report
               mfsweep report search_spaces/mini/*.yaml
    """  # noqa: D301
    if out is None:
        writable(store)
    elif len(specs) > 1:
        raise click.UsageError(f"--out: a folder holds the page of one SPEC, got {len(specs)}")
    from mfsweep.sweep.reports import write_reports

    click.echo(write_reports([readable(spec, store) for spec in specs], out))


@click.command()
@store_option
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port of the UI.")
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of the store's own.  [env: MLFLOW_TRACKING_URI]"
)
def ui(store: Path, port: int, tracking_uri: str | None) -> None:
    """Open the MLflow UI of a store on localhost.

    \b
    Example:  mfsweep ui --store mfsweep-store
    """  # noqa: D301
    from mfsweep.run.ui import serve
    from mfsweep.store import StoreFolder

    if tracking_uri is None:
        writable(store)
    serve(StoreFolder(store.absolute()), tracking_uri, port)
