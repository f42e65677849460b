"""`mfsweep compare`: strategies side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.options import as_json, console, print_json, readable, specs_and_store

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mfsweep.analysis.comparison.compare import Comparison
    from mfsweep.analysis.comparison.formats import PrintedTable


def label_costs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """Return METHOD=COST options as numbers."""
    costs: dict[str, float] = {}
    for one in given:
        method, _, text = one.partition("=")
        try:
            cost = float(text)
        except ValueError:
            cost = math.nan
        if not method or not math.isfinite(cost) or cost < 0:
            raise click.BadParameter(f"{one!r}: expected METHOD=COST, a number that is not negative, as in cc=3.5")
        costs[method] = cost
    return costs


label_cost_option = click.option(
    "--label-cost",
    "label_costs",
    multiple=True,
    metavar="METHOD=COST",
    callback=label_costs,
    help="What one label of a method costs; may be repeated.",
)
unit_option = click.option("--unit", help="Unit of the costs of labels, as in core-hours.")


@click.command()
@specs_and_store
@click.option(
    "--by",
    metavar="AXIS",
    help="Axis whose values are the strategies, or `stages`: the stages tell.  [default: an axis `strategy` or "
    "`variant` that all specs have, else `stages`]",
)
@click.option("--against", metavar="STRATEGY", help="What the others are compared with.  [default: direct training]")
@click.option(
    "-y", "y", metavar="METRIC", help="Metric that is compared.  [default: that of the first fit, else the test error]"
)
@label_cost_option
@unit_option
@click.option(
    "--format", "form", type=click.Choice(["csv", "latex", "markdown"]), help="Print one table for a file or a paper."
)
@as_json
def compare(
    specs: tuple[Path, ...],
    store: Path,
    *,
    by: str | None,
    against: str | None,
    y: str | None,
    label_costs: dict[str, float],
    unit: str | None,
    form: str | None,
    as_json: bool,
) -> None:
    """Show the strategies of SPECs side by side: direct, pre-trained, multi-head, delta, frozen, LoRA.

    At equal labels, at equal training time as it was measured and, where labels have costs, at equal cost of these.
    Ratios of errors are paired within replicates (folds, partitions, else seeds), with 95 % intervals and p-values
    adjusted for their number. What has not converged carries no claim.

    \b
    Examples:  mfsweep compare search_spaces/mini/fig8.yaml
               mfsweep compare search_spaces/mini/fig7.yaml search_spaces/mini/fig8.yaml --by stages
               mfsweep compare spec.yaml --label-cost cc=100 --label-cost dft=1 --unit core-minutes
               mfsweep compare spec.yaml --format latex > table.tex
    """  # noqa: D301
    if as_json and form:
        raise click.UsageError("--json or --format, and not both.")
    plans = [readable(spec, store) for spec in specs]
    from mfsweep.sweep.compare import compare as side_by_side

    found = side_by_side(plans, by=by, against=against, y=y, label_costs=label_costs, unit=unit)
    if as_json:
        print_json(found.as_json())
    elif form in ("csv", "latex", "markdown"):
        click.echo(found.table(form), nl=False)
    else:
        _print(console(), found)


def _print(screen: Console, found: Comparison) -> None:
    from mfsweep.analysis.comparison.formats import printed

    for table in printed(found.blocks):
        screen.print(_table(found, table))
        screen.print()
    for sentence in found.sentences:
        screen.print(sentence, style="bold", soft_wrap=True, markup=False)
    for note in found.notes:
        screen.print(f"- {note}", soft_wrap=True, markup=False)


def _table(found: Comparison, sheet: PrintedTable) -> Table:
    from rich.table import Table

    from mfsweep.analysis.comparison.formats import FOLDED, SHORT, TEXT, fields, names

    table = Table(box=None, pad_edge=False, title=sheet.title, title_justify="left", header_style="dim")
    columns = names(sheet.blocks, found.unit)
    for number in SHORT:
        side = "left" if number in TEXT else "right"
        table.add_column(columns[number], justify=side, no_wrap=number not in FOLDED, overflow="fold")
    for row in sheet.rows:
        texts = fields(row, is_gpu=found.is_gpu)
        table.add_row(*(texts[number] for number in SHORT))
    return table
