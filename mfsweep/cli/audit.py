"""`mfsweep audit`: a finished stage is trained again and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mfsweep.cli.options import as_json, console, looked_at, print_json, show_ray_the_token, spec_and_store, writable

FAILED = 1


@click.command()
@spec_and_store
@click.option("--stage", "key", help="First letters of the key of the stage; default: any that is done, at random.")
@click.option("--seed", type=int, help="Of the choice.")
@click.option(
    "--tolerance", type=click.FloatRange(0), default=0.01, show_default=True,
    help="Relative difference of a metric that is put down to rounding.",
)  # fmt: skip
@as_json
@click.pass_context
def audit(ctx: click.Context, spec: Path, store: Path, *, as_json: bool, **options: Any) -> None:
    """Train one finished stage of SPEC again, in a store that is thrown away, and compare it with its record.

    The same software and machine give the same bits on CPUs. What differs is said. Exit code 1: a metric differs by
    more than the tolerance.

    \b
    Example:  mfsweep audit search_spaces/quickstart.yaml
    """  # noqa: D301
    show_ray_the_token()
    writable(store)
    screen = console(stderr=as_json)
    sweep = looked_at(spec, store)
    from mfsweep.run.signals import as_interrupts

    with as_interrupts():
        found = sweep.audit(screen, **options)
    if as_json:
        print_json(found.as_json())
    else:
        for sentence in found.sentences():
            screen.print(sentence, soft_wrap=True, markup=False, highlight=False)
    ctx.exit(0 if found.passed else FAILED)
