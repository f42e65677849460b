"""`mfsweep budget`: what to buy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.options import as_json, console, looked_at, spec_and_store

if TYPE_CHECKING:
    from mfsweep.analysis.budget.advice import Advice


def _pair(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """Return METHOD=NUMBER as a dictionary."""
    found: dict[str, float] = {}
    for text in given:
        method, equals, number = text.partition("=")
        try:
            found[method.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not method.strip():
            raise click.BadParameter(f"{text!r}: expected METHOD=NUMBER, for example cc=0.5")
    return found


@click.command()
@spec_and_store
@click.option("--budget", "amount", type=float, help="To be spent. Default: what the dearest trained cell has cost.")
@click.option("--unit", help="Of the budget and of --cost: core-hours, or any word. Default: that of the spec's costs.")
@click.option("--target", "targets", multiple=True, help="An error to get below at the least cost: cc=1.0kcal/mol.")
@click.option(
    "--cost",
    "costs",
    multiple=True,
    callback=_pair,
    help="METHOD=NUMBER, the cost of one label, in place of the spec's; may be repeated.",
)
@click.option("--hour", type=float, help="Cost of an hour of training on a core (or GPU). Default: a core-hour is one.")
@click.option("--error", help="Path of the error that is to be low: result.test.cc.energy_mae.")
@click.option(
    "--reach", type=float, default=10.0, show_default=True, help="Times the largest trained size that is considered."
)
@as_json
def budget(
    spec: Path,
    store: Path,
    *,
    amount: float | None,
    unit: str | None,
    targets: tuple[str, ...],
    costs: dict[str, float],
    hour: float | None,
    error: str | None,
    reach: float,
    as_json: bool,
) -> None:
    """Say which labels to buy for a budget, by the trained cells of SPEC: methods, sizes, and how sure that is.

    Costs of labels are those of the spec's figure of kind pareto, as `mfsweep data label` measured them, or given here.

    \b
    Examples:  mfsweep budget search_spaces/mini/figS4.yaml --budget 2 --unit core-hours
               mfsweep budget spec.yaml --budget 2000 --unit core-hours --target cc=1.0kcal/mol
               mfsweep budget spec.yaml --budget 500 --unit EUR --cost cc=2 --cost dft=0.05 --hour 0.4
    """  # noqa: D301
    sweep = looked_at(spec, store)
    found = sweep.budget(amount, unit=unit, costs=costs, targets=targets, error=error, hour=hour, reach=reach)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    else:
        print_advice(console(), found)


def print_advice(screen: Console, found: Advice) -> None:
    """Print the sentences, part by part, and the front."""
    for part, sentences in found.parts.items():
        screen.print(part, style="bold", markup=False)
        for sentence in sentences:
            screen.print(f"  {sentence}", soft_wrap=True, markup=False)
    screen.print(_front(found))


def _front(found: Advice) -> Table:
    decision = found.decision
    error_unit = decision.measured.path.quantity.unit
    table = Table(box=None, pad_edge=False, title="Error against cost", title_justify="left")
    table.add_column(escape(decision.prices.unit), justify="right")
    table.add_column("way")
    table.add_column("labels")
    for column in (error_unit, "95 % interval", "extrapolates"):
        table.add_column(column, justify="right")
    for one in decision.front:
        labels = ", ".join(f"{number:,} {method}" for method, number in one.labels.items())
        far = f"{max(one.beyond.values()):.2g} times" if one.beyond else ""
        interval = f"{one.low:.3g} to {one.high:.3g}"
        table.add_row(f"{one.cost:.3g}", escape(str(one.way)), labels, f"{one.error:.3g}", interval, far)
    return table
