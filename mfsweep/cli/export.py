"""`mfsweep export` and `mfsweep show`: a trained stage as a file, and what is known of a stage or of such a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.options import as_json, console, looked_at, open_store, store_option
from mfsweep.errors import StoreError
from mfsweep.passport import Passport, beside, read_passport
from mfsweep.store import StageFolder, StoreFolder

if TYPE_CHECKING:
    from mfsweep.export.formats import Format
    from mfsweep.train.predictor import Precision


@click.command()
@click.argument("stage", required=False)
@store_option
@click.option(
    "--best",
    metavar="METRIC",
    help="In place of STAGE: one of the setting with the lowest METRIC (mean over folds or seeds), test.cc.energy_mae; "
    "as in a spec or a frame, result.test.cc.energy_mae, among the stages that it names.",
)
@click.option("--spec", type=click.Path(path_type=Path), help="With --best: only among the stages of this spec.")
@click.option(
    "--format",
    "kind",
    required=True,
    type=click.Choice(["mace", "ase", "lammps", "mliap", "torch-sim"]),
    help="Who is to load the file.",
)
@click.option("--head", help="The only readout head in the file. Default: all, where the format can hold several.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file. Default: named after the stage."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Of the weights in the file. Default: float64, for ase as trained.",
)
@click.option(
    "--checkpoint",
    type=click.Choice(["selected", "best"]),
    default="selected",
    show_default=True,
    help="Which weights.",
)
@click.option("--licence", help="Of the model, for its passport.")
@click.option(
    "--without-spec", is_flag=True, help="Leave the spec's text, which names your files, out of the passport."
)
@as_json
def export(
    stage: str | None,
    store: Path,
    *,
    best: str | None,
    spec: Path | None,
    kind: Format,
    head: str | None,
    out: Path | None,
    dtype: Precision | None,
    checkpoint: Literal["selected", "best"],
    licence: str | None,
    without_spec: bool,
    as_json: bool,
) -> None:
    """Write a trained STAGE (the first letters of its key) as a file that other programs load, with its passport.

    \b
    mace       mace-torch: MACECalculator, mace_eval_configs
    ase        mfsweep.load_model and its ASE calculator, for every architecture
    lammps     LAMMPS, pair_style mace
    mliap      LAMMPS, pair_style mliap unified
    torch-sim  torch-sim's MaceModel

    \b
    Examples:  mfsweep export 4f1c --format mace
               mfsweep export --best test.cc.energy_mae --format lammps --head cc --out cc-lammps.pt
    """  # noqa: D301
    if (stage is None) == (best is None):
        raise click.UsageError("STAGE or --best METRIC, and not both.")
    if spec is not None and best is None:
        raise click.UsageError("--spec goes with --best.")
    place = open_store(store)
    best_of = place if spec is None else looked_at(spec, store)
    chosen = None if best is None else best_of.best(best)
    left = place.export(
        chosen or stage or "",
        kind,
        head=head,
        out=out,
        dtype=dtype,
        checkpoint=checkpoint,
        licence=licence,
        with_spec=not without_spec,
    )
    if as_json:
        click.echo(left.passport.text(), nl=False)
        return
    said = f", {chosen.said}" if chosen else ""
    click.echo(f"{left.path} and {beside(left.path).name}: stage {left.passport.stage}{said}")
    for note in left.passport.notes:
        click.echo(f"note: {note}")


@click.command()
@click.argument("what", metavar="STAGE|FILE")
@store_option
@as_json
def show(what: str, store: Path, *, as_json: bool) -> None:
    """Show what a trained STAGE (the first letters of its key) or an exported FILE is: where from, how good, whose.

    A file is not loaded and nothing in it is run: its passport is read, which is what its writer says.

    \b
    Examples:  mfsweep show 4f1c
               mfsweep show mfsweep-4f1c02aa.model
    """  # noqa: D301
    path = Path(what)
    if path.is_file():
        passport = read_passport(path)
        if passport is None:
            raise StoreError(
                f"{path} has no passport, in it or beside it ({beside(path).name}): expected a file that `mfsweep "
                "export` wrote"
            )
    elif path.is_dir():
        from mfsweep.export.describe import passport_of_stage

        # A stage's folder, which may have been copied out of its store.
        passport = passport_of_stage(StoreFolder(path.absolute().parent.parent), StageFolder(path.absolute()))
    else:
        passport = open_store(store).passport(what)
    if as_json:
        click.echo(passport.text(), nl=False)
        return
    out = console()
    out.print(_facts(passport))
    out.print(_metrics(passport))
    for note in passport.notes:
        out.print(f"note: {note}", markup=False)


def _facts(passport: Passport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "stage": f"{passport.stage}, {passport.checkpoint} weights, step {passport.step}",
        "file": f"format {passport.format}, {passport.precision}" if passport.format else "",
        "chosen": passport.chosen or "",
        "model": ", ".join(f"{name} {value}" for name, value in passport.training["model"].items()),
        "elements": ", ".join(passport.elements),
        "data": f"{passport.data['digest'][:16]}, split seed {passport.data['splits']['seed']}",
        "sweeps": ", ".join(passport.sweeps),
        "licence": passport.licence,
        "trained with": ", ".join(f"{name} {version}" for name, version in passport.software.items()),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    for number, one in enumerate(passport.lineage):
        start = f", from the file {one.file[:16]}" if one.file else ""
        said = f"{one.key}: {', '.join(one.sets)}; {one.steps} steps ({one.ended}), seed {one.seed}{start}"
        table.add_row("trained" if not number else "then", escape(said))
    for head, one in passport.heads.items():
        offsets = ", ".join(f"{symbol} {energy:.4f}" for symbol, energy in one.offsets.items())
        minus = f", less {one.minus}" if one.minus else ""
        table.add_row(f"head {escape(head)}", escape(f"learned {', '.join(one.methods)}{minus}; E0 in eV: {offsets}"))
    return table


def _metrics(passport: Passport) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("error", "this model", "offsets only", "unit"):
        table.add_column(name, justify="left" if name in ("error", "unit") else "right", no_wrap=True)
    table.add_column("mean of replicates, 95 % interval")
    for path, one in passport.metrics.items():
        spread = ""
        if one.mean is not None and one.low is not None and one.high is not None:
            spread = f"{one.mean:.4g}, {one.low:.4g} to {one.high:.4g} ({one.replicate})"
        beside_it = "" if one.offsets_only is None else f"{one.offsets_only:.4g}"
        table.add_row(escape(path), f"{one.value:.4g}", beside_it, one.unit, spread)
    return table
