"""`mfsweep select`: which labels to buy next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.options import as_json, console, looked_at, open_store, print_json, readable, store_option
from mfsweep.store import StoreFolder

if TYPE_CHECKING:
    from mfsweep.sweep.select import How, StructureSelection
    from mfsweep.sweep.selection_files import SelectionFiles

_SHOWN = 10
"""Structures that the table has at most."""


@click.command()
@click.argument("source", metavar="DATASET", type=str)
@click.option("--method", required=True, help="Label method that is to be bought, as the stage or DATASET names it.")
@click.option("--n", "count", required=True, type=click.IntRange(1), help="How many structures.")
@click.option("--by", "stage", metavar="STAGE", help="Trained stage: the first letters of its key.")
@click.option(
    "--best",
    metavar="METRIC",
    help="In place of --by: a stage of the setting with the lowest METRIC (mean over folds or seeds), "
    "result.test.cc.energy_mae; with --spec, of that sweep.",
)
@click.option(
    "--how",
    type=click.Choice(["features", "committee", "random"]),
    default="features",
    show_default=True,
    help="features: needs the stage alone; committee: needs its replicates of other seeds; random: to compare with.",
)
@click.option("--head", help="Readout head. Default: that of --method, or the only one.")
@click.option(
    "--cost-power",
    "power",
    type=click.FloatRange(0, 20),
    help="A label costs as the number of atoms to this power (CCSD(T): 7). Default: as measured by `data label` in "
    "DATASET, else 0.",
)
@click.option("--among", is_flag=True, help="Choose among structures that have the label, but were not trained on.")
@click.option("--spec", type=click.Path(path_type=Path), help="The stage's, where DATASET is not the stage's own data.")
@click.option(
    "--across-splits",
    is_flag=True,
    help="Let the committee have members of other folds and split seeds. They know labels of the stage's test set.",
)
@click.option(
    "--candidates",
    "most",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    help="Structures to look at; of more a random share.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is drawn at random.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Path of the files without ending. Default: select-METHOD-STAGE."
)
@click.option("--overwrite", is_flag=True, help="Replace the files where they exist.")
@store_option
@as_json
def select(
    source: str,
    *,
    method: str,
    count: int,
    stage: str | None,
    best: str | None,
    how: How,
    head: str | None,
    power: float | None,
    among: bool,
    spec: Path | None,
    across_splits: bool,
    most: int,
    seed: int,
    out: Path | None,
    overwrite: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Choose the N structures of DATASET whose METHOD labels would help a trained STAGE most, and write them.

    DATASET is a data set or any file that can be imported; `bundled:NAME` too. Chosen are structures without the label.
    The test structures of the stage's split, and what is kept together with them, are never chosen; nor are validation
    sets.

    \b
    features   the label that lowers the variance of predictions over the pool
               most, by the stage's last features; one after the other
    committee  where replicates of the stage disagree, far from what is known
    random     a draw, to compare with

    Whether a choice beats a draw depends on the pool: on mini-ani none did. --among measures it on your data.

    Four files: OUT.csv and OUT.json, the list; OUT.h5, a data set that `mfsweep data label` takes; OUT.xyz, for other
    programs.

    \b
    Examples:  mfsweep select pool.h5 --method cc --n 200 --by 4f1c
               mfsweep select pool.h5 --method cc --n 200 --best result.test.cc.energy_mae
               mfsweep select pool.h5 --method cc --n 200 --by 4f1c --how committee --cost-power 7
               mfsweep select bundled:mini-ani --method cc --n 40 --by 4f1c --among
    """  # noqa: D301
    if (stage is None) == (best is None):
        raise click.UsageError("--by STAGE or --best METRIC, and not both.")
    opened = open_store(store)
    found = None
    if best is not None:
        found = (opened if spec is None else looked_at(spec, store)).best(best)
    from mfsweep.sweep.candidates import PoolRequest
    from mfsweep.sweep.select import SelectionRequest
    from mfsweep.sweep.select import select as choose
    from mfsweep.sweep.selection_files import require_free, write

    place = StoreFolder(store.absolute())
    folder = found.folder if found else place.find(stage or "")
    stem = out or Path(f"select-{method}-{folder.key[:8]}")
    require_free(stem, overwrite=overwrite)
    plan = None if spec is None else readable(spec, store)
    request = SelectionRequest(
        PoolRequest(source, method, among), count, folder.key, how, head, power, across_splits, most, seed
    )
    selection = choose(request, place, plan)
    written = write(selection, stem, overwrite=overwrite)
    if as_json:
        files = {name: str(path) for name, path in written._asdict().items()}
        print_json({**selection.as_json(), "files": files})
        return
    if found:
        click.echo(f"stage {folder.key[:8]}, {found.said}")
    _print(selection, written)


def _print(selection: StructureSelection, written: SelectionFiles) -> None:
    out = console()
    rows = selection.rows()
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("formula", "reason") else "right")
    for row in rows[:_SHOWN]:
        table.add_row(*("" if value is None else escape(f"{value}") for value in row.values()))
    out.print(table)
    say = [f"... and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
    formulae = len({row["formula"] for row in rows})
    say.append(
        f"{len(rows):,} of {len(selection.ground.candidates):,} candidates, of {formulae:,} formulae; their labels "
        f"cost {selection.price.mean():.2f} times those of the mean candidate"
    )
    say += selection.notes
    say.append(", ".join(str(path) for path in written))
    say += _next_steps(selection, written)
    for line in say:
        out.print(line, soft_wrap=True, markup=False)


def _next_steps(selection: StructureSelection, written: SelectionFiles) -> list[str]:
    """Return how the labels are computed and come back; of labels that are there already nothing."""
    from mfsweep.data.dataset import is_dataset

    pool, method = selection.ground.path, selection.request.wanted.method
    if selection.request.wanted.among:
        return []
    label = f"Label them: mfsweep data label {written.dataset} --method ... --as {method}"
    if not is_dataset(pool):
        return [label, f"Labels come back into a data set, which {pool} is not: see mfsweep data import, and data add"]
    return [label, f"Then: mfsweep data add {pool} {written.dataset} --labels {method} --as {_next(method)}"]


def _next(method: str) -> str:
    """Return a name for a method's labels with some more: cc_2 after cc, cc_3 after cc_2."""
    stem, _, number = method.rpartition("_")
    return f"{stem}_{int(number) + 1}" if stem and number.isdecimal() else f"{method}_2"
