"""`mfsweep data import`."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.options import as_json, console, print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from mfsweep.data.importing import ImportSummary


@click.command("import")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    metavar="NAME[=ENERGY_KEY[,FORCES_KEY]]",
    multiple=True,
    help="A label method to take, and the keys of its values. Default: every pair X.energy, X.forces of an HDF5 file.",
)
@click.option("--needs", metavar="NAME", multiple=True, help="Take only structures with all labels of this method.")
@click.option(
    "--column",
    "columns",
    metavar="KEY",
    multiple=True,
    help="A text of each structure that comes along, for example to split by. Default: all that are texts.",
)
@click.option(
    "--unit",
    "units",
    metavar="QUANTITY=UNIT",
    multiple=True,
    help="energy=eV, forces=eV/Ang, positions=bohr, or METHOD:energy=eV of one label method, ... Default: hartree, "
    "hartree/Ang and Ang for HDF5 files, eV, eV/Ang and Ang for others.",
)
@click.option(
    "--method-column",
    metavar="KEY",
    help="A text of each frame that names its label method, as `head` of MACE's files; `--labels` says by which keys.",
)
@click.option("--gradients", metavar="NAME", multiple=True, help="The forces of this method are gradients: turn them.")
@click.option(
    "--per-atom",
    metavar="NAME",
    multiple=True,
    help="The energies of this method are divided by the number of atoms: take them times it.",
)
@click.option(
    "--charge",
    metavar="KEY|none",
    help="The total charge of each structure. Default: `charge`; of files that ASE reads else `total_charge`, else the "
    "sum of `initial_charges`, where that is a whole number.",
)
@click.option("--geometries", is_flag=True, help="Take no labels: they come from `mfsweep data label`.")
@click.option("--drop-bad", is_flag=True, help="Leave out structures with values that cannot be, and say which.")
@click.option("--trust-units", is_flag=True, help="Take labels that do not look like what they are said to be.")
@click.option("--overwrite", is_flag=True, help="Replace DATASET where it exists.")
@as_json
def import_(
    sources: tuple[Path, ...],
    dataset: Path,
    *,
    labels: tuple[str, ...],
    needs: tuple[str, ...],
    columns: tuple[str, ...],
    units: tuple[str, ...],
    method_column: str | None,
    gradients: tuple[str, ...],
    per_atom: tuple[str, ...],
    charge: str | None,
    geometries: bool,
    drop_bad: bool,
    trust_units: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bring structures and labels of SOURCE, one file or several, into the data set DATASET.

    SOURCE is an HDF5 file (ANI-1x, pyanitools, torchani, SPICE, MACE), the folder of the source study's release, or any
    file that ASE reads (extxyz, db, traj, OUTCAR, ...), some of its structures (own.xyz@:100), a glob in quotes, or a
    folder. Isolated atoms are left out, and kept as energy offsets. What a structure lacks is NaN in the data set: no
    label. DATASET is one file, which a spec names as its data.source; it appears when it is whole.

    Labels that cannot be in their units, that fit another unit clearly better, energies per atom, gradients, forces
    that are not the slope of the energies, or that are all zero, are refused with the command that takes them right.
    --trust-units takes them as they are.

    \b
    Examples:  mfsweep data import ani1x-release.h5 ani1ccx.h5 --labels "ccsd(t)_cbs" --labels wb97x_dz
                 --needs "ccsd(t)_cbs"
               mfsweep data import train.xyz test.xyz own.h5 --labels dft=REF_energy,REF_forces
               mfsweep data import own.db own.h5 --labels pbe --unit energy=hartree --unit forces=hartree/bohr
    """  # noqa: D301
    from mfsweep.data.importing import Rules, import_files
    from mfsweep.data.importing.keys import labels_of, units_of

    rules = Rules(
        labels=labels_of(labels),
        needs=needs,
        columns=columns or None,
        units=units_of(units),
        method_column=method_column,
        gradients=gradients,
        per_atom=per_atom,
        charge=charge,
        geometries=geometries,
        drop_bad=drop_bad,
        trust_units=trust_units,
    )
    with _progress() as progress:
        task = progress.add_task("structures", total=None, rate="")

        def show(done: int, total: int | None) -> None:
            rate = f"{done / max(progress.tasks[0].elapsed or 0, 1e-3):,.0f}/s"
            progress.update(task, completed=done, total=total, rate=rate)

        summary = import_files(sources, dataset, rules, overwrite=overwrite, progress=show)
    if as_json:
        print_json({"dataset": str(dataset), **summary.as_json()})
    else:
        _show(console(), dataset, summary)


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    screen = console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
        transient=True,
    )


def _show(screen: Console, dataset: Path, summary: ImportSummary) -> None:
    from rich.table import Table

    say = partial(screen.print, soft_wrap=True, markup=False)
    say(
        f"{dataset}: {summary.structures:,} structures, {summary.atoms:,} atoms, {summary.formulae:,} formulae; "
        f"{summary.bytes / 1e6:,.1f} MB in {summary.seconds:,.1f} s",
    )
    if summary.energies:
        table = Table(box=None, pad_edge=False)
        table.add_column("label method")
        table.add_column("with energy", justify="right")
        table.add_column("with forces", justify="right")
        for method, number in summary.energies.items():
            forces = summary.forces.get(method)
            table.add_row(method, _share(number, summary), "-" if forces is None else _share(forces, summary))
        screen.print(table)
    for name, units in summary.units.items():
        say(
            f"{name}: energies read as {units.energy}, forces as {units.forces}, positions as {units.positions}",
        )
    if summary.columns:
        say(f"columns: {', '.join(summary.columns)}")
    for method, number in summary.lacking.items():
        say(f"left out: {number:,} structures that do not carry {method} (--needs)")
    for what, number in summary.dropped.items():
        say(f"left out: {number:,}, because {what}")
    for example in summary.examples:
        say(f"  {example}")
    for warning in summary.warnings:
        say(f"warning: {warning}")
    if summary.energies:
        say(f"In a spec:\n{_block(dataset, summary)}")


def _block(dataset: Path, summary: ImportSummary) -> str:
    """Return the beginning of the `data:` block of a spec that takes all that came in."""
    lines = ["data:", f"  source: {dataset}", "  labels:"]
    for method in summary.energies:
        keys = {"energy": f"{method}.energy"} | ({"forces": f"{method}.forces"} if method in summary.forces else {})
        shown = ", ".join(f'{name}: "{key}"' for name, key in keys.items())
        lines.append(f"    {re.sub(r'[^A-Za-z0-9_-]+', '_', method).lstrip('_-0123456789') or 'method'}: {{{shown}}}")
    return "\n".join(lines)


def _share(number: int, summary: ImportSummary) -> str:
    return f"{number:,} ({number / summary.structures:.1%})"
