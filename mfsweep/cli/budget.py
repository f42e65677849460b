"""`mfsweep budget`: what to buy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.options import as_json, console, decision_options, looked_at, print_json, spec_and_store

if TYPE_CHECKING:
    from mfsweep.analysis.budget.advice import Advice


@click.command()
@spec_and_store
@decision_options
@click.option("--target", "targets", multiple=True, help="An error to get below at the least cost: cc=1.0kcal/mol.")
@click.option(
    "--against", type=click.Path(path_type=Path),
    help="What --json has printed of fewer cells: say what that decision would lose by the cells of now.",
)  # fmt: skip
@as_json
def budget(
    spec: Path,
    store: Path,
    *,
    decision: dict[str, Any],
    targets: tuple[str, ...],
    against: Path | None,
    as_json: bool,
) -> None:
    """Say which labels to buy for a budget, by the trained cells of SPEC: methods, sizes, and how sure that is.

    Without --budget it is what the dearest trained cell has cost. Costs of labels are those of the spec's figure of
    kind pareto, as `mfsweep data label` measured them, or given here.

    \b
    Examples:  mfsweep budget search_spaces/mini/figS4.yaml --budget 2 --unit core-hours
               mfsweep budget spec.yaml --budget 2000 --unit core-hours --target cc=1.0kcal/mol
               mfsweep budget spec.yaml --budget 500 --unit EUR --cost cc=2 --cost dft=0.05 --hour 0.4
    """  # noqa: D301
    found = looked_at(spec, store).budget(targets=targets, against=against, **decision)
    if as_json:
        print_json(found.as_json())
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
