"""`mfsweep status`: where a sweep stands, once or again and again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.jobs import address_option, job_line, jobs_at
from mfsweep.cli.options import as_json, console, looked_at, print_json, spec_and_store
from mfsweep.errors import MfsweepError
from mfsweep.masking import masked

if TYPE_CHECKING:
    from mfsweep.run.jobs import Submitted
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
    shown: Standing | None = None
    while True:
        try:
            found = sweep.standing(price=price, co2=co2)
            jobs = [job for job in jobs_at(address).every() if found.name in job.specs] if address else None
            if html:
                _write_page(html, found, None if found.is_over else watch)
        except (MfsweepError, OSError) as error:
            if watch is None or shown is None:
                raise
            _say_unread(shown, error, html, watch)
        else:
            _show(found, jobs, as_json=as_json)
            if watch is None or found.is_over:
                return
            shown = found
        time.sleep(watch)


def _say_unread(shown: Standing, error: Exception, html: Path | None, watch: float) -> None:
    """Say that a look has failed; on the page too, which goes on showing what was seen last."""
    now, then = (time.strftime("%H:%M:%S", time.localtime(moment)) for moment in (time.time(), shown.time))
    note = masked(f"At {now} it could not be read where this sweep stands: {error}. What is shown is of {then}.")
    console(stderr=True).print(note, style="yellow", soft_wrap=True, markup=False, highlight=False)
    if html:
        with contextlib.suppress(OSError):  # its own disk, perhaps
            _write_page(html, shown, watch, note)


def _write_page(path: Path, found: Standing, every: float | None, note: str = "") -> None:
    from mfsweep.sweep.status_page import write_status_page

    write_status_page(path, found, every, note)


def _show(found: Standing, jobs: Sequence[Submitted] | None, *, as_json: bool) -> None:
    if as_json:
        more = {} if jobs is None else {"jobs": [job.as_json() for job in jobs]}
        print_json(found.as_json() | more)
        return
    from mfsweep.cli.status import status_table

    out = console()
    out.print(status_table(found.stages, found.paces))
    for line in found.sentences():
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    for job in jobs or ():
        out.print(f"Job {job_line(job)}", soft_wrap=True, markup=False, highlight=False)
