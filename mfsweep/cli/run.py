"""`mfsweep run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mfsweep.cli.jobs import address_option
from mfsweep.cli.jobs import detach as submit_run
from mfsweep.cli.options import (
    as_json,
    console,
    decision_options,
    ending,
    prepared,
    print_json,
    resources_options,
    show_ray_the_token,
    specs_and_store,
    until_option,
    verify_option,
    writable,
)
from mfsweep.imports import deferred, uncollected


@click.command()
@specs_and_store
@as_json
@click.option("--smoke", is_flag=True, help="Try 20 steps and one evaluation of each kind of stage. Nothing is kept.")
@resources_options
@click.option("--groups", type=click.IntRange(1), help="In place of resources.groups: stages at a time.")
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of tracking.uri.  [env: MLFLOW_TRACKING_URI]"
)
@until_option
@decision_options
@verify_option
@click.option(
    "--notify", multiple=True, metavar="COMMAND|URL", envvar="MFSWEEP_NOTIFY",
    help="Tell it of each failure and of the end: a command of the shell, or the address of a web hook.",
)  # fmt: skip
@click.option("--detach", is_flag=True, help="Submit it as a job of the cluster at --address, and return.")
@address_option
@click.pass_context
def run(
    ctx: click.Context,
    specs: tuple[Path, ...],
    store: Path,
    *,
    as_json: bool,
    smoke: bool,
    tracking_uri: str | None,
    until: str | None,
    decision: dict[str, Any],
    verify: bool,
    notify: tuple[str, ...],
    detach: bool,
    address: str | None,
    **over: Any,
) -> None:
    """Train every stage of each SPEC that the store does not have, then fit its laws and write its report.

    Run it again to go on where it stopped: nothing is trained twice. It joins the Ray cluster of RAY_ADDRESS, or of
    the job it runs in, or starts Ray on this machine. Several specs are checked first, then run one after another. They
    share stages, and a stage that fails in one spec does not stop the others.

    \b
    Examples:  mfsweep run search_spaces/quickstart.yaml
               mfsweep run search_spaces/quickstart.yaml --smoke
               mfsweep run search_spaces/mini/*.yaml
               mfsweep run spec.yaml --store /shared/store --detach --address http://head:8265
               mfsweep run search_spaces/quickstart.yaml --until "transfer.gradient.half_width < 0.2"
               ray job submit --address http://head:8265 -- mfsweep run spec.yaml --store /shared/store
    """  # noqa: D301
    if detach:
        given = {"smoke": smoke, "verify": verify, "json": as_json, "until": until, **over, **decision}
        submit_run(address, specs, store, given | {"tracking_uri": tracking_uri, "notify": notify})
        return
    show_ray_the_token()
    writable(store)
    screen = console(stderr=as_json)
    overrides = {name: value for name, value in over.items() if value is not None}
    # What is wrong with a spec is said before Ray, which takes seconds to import.
    with screen.status("Reading the spec and its data ..."):
        plans = [prepared(spec, store, overrides, verify=verify, keep=True) for spec in specs]
    if smoke and until is not None:
        raise click.UsageError("--smoke and --until: only one of them; a smoke test measures nothing.")
    ends = ending(plans, until, decision)
    # Nothing is computed of results before the stages are done.
    with screen.status("Loading Ray ..."), uncollected(), deferred({"scipy.stats": {}}):
        from mfsweep.cli.planned import print_plan
        from mfsweep.run.signals import as_interrupts
        from mfsweep.sweep import several
        from mfsweep.sweep.notify import Notifier
        from mfsweep.sweep.space import warn_of_space

    several.admit(plans, store, tracking_uri)
    for one in plans:
        print_plan(screen, one)
    if not smoke:
        warn_of_space(plans, screen)
    with as_interrupts(), Notifier(notify, lambda text: screen.print(text, soft_wrap=True, markup=False)) as notifier:
        outcome = (
            several.smoke(plans, screen)
            if smoke
            else several.run(plans, screen, tracking_uri, failed=notifier.failed, ending=ends)
        )
        notifier.tell("ended", outcome.sentence(), **outcome.as_json())
    if as_json:
        print_json(outcome.as_json(), indent=None)
    ctx.exit(outcome.exit_code)
