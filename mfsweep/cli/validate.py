"""`mfsweep validate`: whether trained stages are good physics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.options import as_json, console, looked_at, open_store, print_json, store_option

if TYPE_CHECKING:
    from mfsweep.physics_record import PhysicsRecord


@click.command()
@click.argument("stages", metavar="[STAGE]...", nargs=-1)
@store_option
@click.option("--spec", type=click.Path(path_type=Path), help="In place of STAGEs: the result of every cell of a spec.")
@click.option("--head", help="Readout head. Default: the only one.")
@click.option(
    "--reference", help="Method whose minima, frequencies and bonds are right, as `data label` names it: gfn2-xtb."
)
@click.option("--base", help="Method that a head's difference is added to (delta-learning).")
@click.option(
    "--molecule",
    "molecules",
    multiple=True,
    help="Name in ASE's G2 set, in place of eight small ones; may be repeated.",
)
@click.option(
    "--structures",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that ASE reads, in place of molecules.",
)
@click.option(
    "--temperature",
    "temperatures",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    help="Of a thermostat, in kelvin; may be repeated.  [default: 300, 600, 1000]",
)
@click.option(
    "--time",
    "stable_time",
    type=click.FloatRange(0),
    help="Of the trajectories with a thermostat, in ps.  [default: 2]",
)
@click.option("--drift-time", type=click.FloatRange(0), help="Of those at constant energy, in ps.  [default: 1]")
@click.option("--seed", type=click.IntRange(0), help="Of velocities and random forces.  [default: 0]")
@click.option("--again", is_flag=True, help="Check anew what the store has.")
@as_json
def validate(
    stages: tuple[str, ...],
    store: Path,
    *,
    spec: Path | None,
    head: str | None,
    structures: Path | None,
    again: bool,
    as_json: bool,
    **settings: float | str | tuple[float, ...] | None,
) -> None:
    """Check the physics of trained STAGEs (the first letters of their keys): dynamics, minima, frequencies, bonds.

    What it finds lies beside each stage's record and goes into the report of its sweep. Units: drift meV/atom/ps, time
    ps, distance from the reference's minima angstrom, frequencies 1/cm, bond stretches eV.

    \b
    Examples:  mfsweep validate 4f1c --reference gfn2-xtb
               mfsweep validate --spec search_spaces/quickstart.yaml --time 1
    """  # noqa: D301
    if bool(stages) == (spec is not None):
        raise click.UsageError("STAGEs or --spec SPEC, and not both.")
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    screen = console(stderr=as_json)
    with screen.status("Checking ...") as line:
        how = {"head": head, "structures": structures, "again": again, **given}
        how["say"] = lambda key: line.update(f"Checking {key} ...")
        found = looked_at(spec, store).validate(**how) if spec else open_store(store).validate(stages, **how)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    screen.print(_table(found))


def _table(found: list[PhysicsRecord]) -> Table:
    from mfsweep.analysis.physics import MEASURED_HEAD, measured

    table = Table(box=None, pad_edge=False)
    for name in ("stage", "head", *MEASURED_HEAD):
        table.add_column(name, justify="left" if name in ("stage", "head") else "right")
    for one in found:
        table.add_row(one.key[:12], escape(one.head), *measured(one))
    return table
