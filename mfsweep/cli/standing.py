"""`mfsweep status`: where a sweep stands, once or again and again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.jobs import address_option, job_line, jobs_at
from mfsweep.cli.options import as_json, console, looked_at, print_json, spec_and_store

if TYPE_CHECKING:
    from mfsweep.sweep.standing import Standing

WATCH_SECONDS = 30.0


@click.command()
@spec_and_store
@as_json
@click.option(
    "--watch", type=click.FloatRange(1), is_flag=False, flag_value=WATCH_SECONDS,
    help="Look again every so many seconds (30), until nothing is left to do.",
)  # fmt: skip
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page; with --watch it is kept up to date, and a browser that shows it reads it again.",
)  # fmt: skip
@click.option("--price", type=click.FloatRange(0), help="What a device-hour costs, in any currency.")
@click.option("--co2", type=click.FloatRange(0), help="Grams of CO2 of a kWh, for the energy that was measured.")
@address_option
def status(
    spec: Path,
    store: Path,
    *,
    as_json: bool,
    watch: float | None,
    html: Path | None,
    price: float | None,
    co2: float | None,
    address: str | None,
) -> None:
    """Show where SPEC stands: its stages and their errors, speed, use of GPUs, time left, cost, what failed and why.

    All of it is read from the store, by whoever sees it; no run is asked. A stage is done, failed or pruned, skipped,
    running (with its step), begun (it goes on when SPEC is run again), or to do. With --address, the jobs of SPEC on
    that cluster are told as well.

    \b
    Examples:  mfsweep status search_spaces/quickstart.yaml
               mfsweep status search_spaces/quickstart.yaml --watch --html status.html
    """  # noqa: D301
    sweep = looked_at(spec, store)
    while True:
        found = sweep.standing(price=price, co2=co2)
        if html:
            from mfsweep.sweep.status_page import write_status_page

            write_status_page(html, found, None if found.is_over else watch)
        _show(found, as_json=as_json, address=address)
        if watch is None or found.is_over:
            return
        time.sleep(watch)


def _show(found: Standing, *, as_json: bool, address: str | None) -> None:
    jobs = [job for job in jobs_at(address).every() if found.name in job.specs] if address else []
    if as_json:
        more = {"jobs": [job.as_json() for job in jobs]} if address else {}
        print_json(found.as_json() | more)
        return
    from mfsweep.cli.status import status_table

    out = console()
    out.print(status_table(found.stages, found.paces))
    for line in found.sentences():
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    for job in jobs:
        out.print(f"Job {job_line(job)}", soft_wrap=True, markup=False, highlight=False)
