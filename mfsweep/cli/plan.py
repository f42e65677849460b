"""`mfsweep plan` and `mfsweep bench`: what specs would train, and how long a batch takes here."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfsweep.cli.options import (
    as_json,
    console,
    decision_options,
    ending,
    prepared,
    print_json,
    specs_and_store,
    until_option,
    verify_option,
    writable,
)

if TYPE_CHECKING:
    from mfsweep.prepare import Plan


@click.command()
@specs_and_store
@as_json
@click.option(
    "--costs",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Seconds per batch, as `mfsweep bench` writes them into the store's costs.json.",
)
@click.option("--device", help="The device of the cost table, by part of its name; default: the one measured last.")
@click.option(
    "--assume-steps", type=click.IntRange(1), help="Steps of a stage without max_steps; default: 3 x its stop_steps."
)
@click.option("--price", type=click.FloatRange(0), help="Price of a device-hour, in any currency.")
@until_option
@decision_options
@verify_option
def plan(
    specs: tuple[Path, ...],
    store: Path,
    *,
    as_json: bool,
    costs: Path | None,
    device: str | None,
    assume_steps: int | None,
    price: float | None,
    until: str | None,
    decision: dict[str, Any],
    verify: bool,
) -> None:
    """Show what each SPEC would train: cells, stages, what they share, what is done, and the cost.

    Several specs are planned together, as they would run in one store. Nothing is trained. The data need not be there:
    the plan then says what was not checked.

    \b
    Examples:  mfsweep plan search_spaces/quickstart.yaml
               mfsweep plan search_spaces/paper/*.yaml --price 2.5
               mfsweep plan search_spaces/quickstart.yaml --until "transfer.gradient.half_width < 0.2"
    """  # noqa: D301
    gc.disable()  # a plan makes many small objects and frees none: looking for garbage costs a tenth of it
    plans = [prepared(spec, store, without_data=True, verify=verify) for spec in specs]
    from mfsweep.sweep.estimate import EstimateOptions, estimate

    estimated = estimate(plans, EstimateOptions(costs, device, assume_steps, price))
    begins = _begins(plans, until, decision)
    if as_json:
        print_json(estimated.as_json() | ({"until": begins} if begins else {}))
        return
    if len(plans) == 1:
        from mfsweep.cli.planned import print_plan

        print_plan(console(), plans[0])
    from mfsweep.cli.estimate import print_estimate

    print_estimate(console(), estimated)
    for line in begins:
        console().print(line, soft_wrap=True, markup=False, highlight=False)


def _begins(plans: Sequence[Plan], until: str | None, decision: dict[str, Any]) -> list[str]:
    ends = ending(plans, until, decision)
    if ends is None:
        return []
    from mfsweep.sweep.until import foreseen

    return foreseen(plans[0], ends)


@click.command()
@specs_and_store
@as_json
@click.option("--steps", type=click.IntRange(1), default=5, show_default=True, help="Timed batches of each kind.")
@click.option("--device", help="Device as torch names it, for example cpu or cuda:1; default: a GPU if there is one.")
def bench(specs: tuple[Path, ...], store: Path, *, as_json: bool, steps: int, device: str | None) -> None:
    """Measure the seconds of a batch of each kind of stage on this machine; `mfsweep plan` uses them.

    They are kept in the store's costs.json. No data are needed: the batches are made up.

    \b
    Examples:  mfsweep bench search_spaces/quickstart.yaml
               mfsweep bench search_spaces/paper/*.yaml --device cuda
    """  # noqa: D301
    writable(store)
    plans = [prepared(spec, store, without_data=True) for spec in specs]
    from mfsweep.sweep.bench import bench as measure

    rows = measure(plans, console(stderr=as_json), steps, device)
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        click.echo(f"Kept in {plans[0].store.costs}")
