"""The command line. Every command imports what it needs when it runs, so that `--help` and `plan` answer at once."""

from __future__ import annotations

import errno
import json
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from mfsweep import __version__
from mfsweep.cli.advise import advise
from mfsweep.cli.audit import audit
from mfsweep.cli.budget import budget
from mfsweep.cli.compare import compare
from mfsweep.cli.data import data
from mfsweep.cli.env import env
from mfsweep.cli.export import export, show
from mfsweep.cli.init import init, schema
from mfsweep.cli.jobs import address_option, cancel, logs
from mfsweep.cli.jobs import detach as submit_run
from mfsweep.cli.launch import launch
from mfsweep.cli.options import (
    as_json,
    console,
    looked_at,
    prepared,
    readable,
    show_ray_the_token,
    specs_and_store,
    store_option,
    until_option,
    verify_option,
    writable,
)
from mfsweep.cli.plan import bench, plan
from mfsweep.cli.screen import lenient_output
from mfsweep.cli.select import select
from mfsweep.cli.standing import status
from mfsweep.cli.store import store as store_commands
from mfsweep.cli.track import track
from mfsweep.cli.validate import validate
from mfsweep.errors import MfsweepError
from mfsweep.files import FULL_DISK
from mfsweep.masking import masked

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one message and exit code 2, Ctrl-C in 130."""
    sys.excepthook = _say_masked
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home folder that it cannot write
    with lenient_output():
        code = _code_of(args)
    sys.exit(code)


def _code_of(args: Sequence[str] | None) -> int:
    try:
        code = cli.main(args, prog_name="mfsweep", standalone_mode=False)
    except MfsweepError as error:
        click.echo(f"mfsweep: {error}", err=True)
        code = WRONG_INPUT
    except click.ClickException as error:
        error.show()
        code = WRONG_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("mfsweep: interrupted", err=True)
        code = INTERRUPTED
    except OSError as error:
        if error.errno in FULL_DISK:
            click.echo(f"mfsweep: the disk is full ({error.filename or error}). Make room and run it again", err=True)
            code = FAILED
        elif error.errno in _NOT_ALLOWED:
            click.echo(f"mfsweep: {error.filename or 'a file'}: {error.strerror}", err=True)
            code = WRONG_INPUT
        else:
            raise
    return code if isinstance(code, int) else 0


def _say_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a defect of ours; what it quotes may hold a password."""
    click.echo(masked("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Multi-fidelity training sweeps for machine-learned force fields: a spec runs and ends in a transfer law.

    \b
    Begin with
      mfsweep plan search_spaces/quickstart.yaml
      mfsweep run search_spaces/quickstart.yaml

    \b
    Exit codes: 0 all done, 1 a stage failed, 2 the input is wrong,
    130 interrupted.
    """  # noqa: D301 (click's mark for lines to be kept)


cli.add_command(plan)
cli.add_command(env)
cli.add_command(bench)
cli.add_command(data)
cli.add_command(track)
cli.add_command(store_commands)
cli.add_command(init)
cli.add_command(schema)
cli.add_command(export)
cli.add_command(show)
cli.add_command(validate)
cli.add_command(select)
cli.add_command(logs)
cli.add_command(cancel)
cli.add_command(status)
cli.add_command(launch)
cli.add_command(audit)
cli.add_command(compare)
cli.add_command(advise)
cli.add_command(budget)


@cli.command()
@specs_and_store
@as_json
@click.option("--smoke", is_flag=True, help="Try 20 steps and one evaluation of each kind of stage. Nothing is kept.")
@click.option(
    "--workers", type=click.IntRange(1), help="In place of resources.workers; never changes a result's identity."
)
@click.option("--gpus-per-worker", type=click.FloatRange(0, 1), help="In place of resources.gpus_per_worker.")
@click.option(
    "--cpus-per-worker", type=click.FloatRange(0, min_open=True), help="In place of resources.cpus_per_worker."
)
@click.option("--groups", type=click.IntRange(1), help="In place of resources.groups: stages at a time.")
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of tracking.uri.  [env: MLFLOW_TRACKING_URI]"
)
@until_option
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
        given = {"smoke": smoke, "verify": verify, "json": as_json, **over}
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
    from mfsweep.sweep.until import condition_of

    condition = condition_of(until, plans) if until is not None else None
    with screen.status("Loading Ray ..."):
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
            else several.run(plans, screen, tracking_uri, failed=notifier.failed, condition=condition)
        )
        notifier.tell("ended", outcome.sentence(), **outcome.as_json())
    if as_json:
        click.echo(json.dumps(outcome.as_json()))
    ctx.exit(outcome.exit_code)


@cli.command()
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@store_option
@click.option(
    "--points",
    type=click.Path(path_type=Path),
    help="In place of SPEC, a CSV file: x, y and, where known, group, replicate, size, pretraining.",
)
@as_json
def fit(spec: Path | None, store: Path, points: Path | None, *, as_json: bool) -> None:
    """Fit the transfer laws of SPEC on what the store has so far, or one law through the points of a table.

    It also prints what pre-training changed, the claims, and what a search has found.

    \b
    Example:  mfsweep fit search_spaces/quickstart.yaml --json
              mfsweep fit --points errors.csv
    """  # noqa: D301
    if (spec is None) == (points is None):
        raise click.UsageError("SPEC or --points FILE, and not both.")
    if points is not None:
        _fit_points(points, as_json=as_json)
        return
    assert spec is not None
    analysed = looked_at(spec, store).results()
    if as_json:
        click.echo(json.dumps(analysed.rows(), indent=1))
        return
    analysed.print(console())
    analysed.conclude(console())
    try:
        analysed.write_points()
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
        console(stderr=True).print(f"The points of the laws are not written: {error.filename}: {error.strerror}")


def _fit_points(path: Path, *, as_json: bool) -> None:
    from mfsweep.analysis.points_file import read_points
    from mfsweep.analysis.tables import law_table
    from mfsweep.analysis.transfer import fit as fit_law

    law = fit_law(path.stem, read_points(path))
    if as_json:
        click.echo(json.dumps(law.as_rows(), indent=1))
        return
    out = console()
    out.print(law_table(law))
    for sentence in law.sentences(groups=False):
        out.print(sentence)


@cli.command()
@specs_and_store
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the page and its figures, of a single SPEC; default: that of the sweep in the store.",
)
def report(specs: tuple[Path, ...], store: Path, out: Path | None) -> None:
    """Write one HTML page with the plan, tables, figures and provenance of SPEC.

    Of several, a page of all reports too: it judges their claims as one suite. Nothing is trained.

    \b
    Examples:  mfsweep report search_spaces/quickstart.yaml
               mfsweep report search_spaces/quickstart.yaml --store /theirs/store --out quickstart-report
               mfsweep report search_spaces/mini/*.yaml
    """  # noqa: D301
    if out is None:
        writable(store)
    elif len(specs) > 1:
        raise click.UsageError(f"--out: a folder holds the page of one SPEC, got {len(specs)}")
    from mfsweep.sweep.reports import write_reports

    click.echo(write_reports([readable(spec, store) for spec in specs], out))


@cli.command()
@store_option
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port of the UI.")
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of the store's own.  [env: MLFLOW_TRACKING_URI]"
)
def ui(store: Path, port: int, tracking_uri: str | None) -> None:
    """Open the MLflow UI of a store on localhost.

    \b
    Example:  mfsweep ui --store mfsweep-store
    """  # noqa: D301
    from mfsweep.run.ui import serve
    from mfsweep.store import StoreFolder

    if tracking_uri is None:
        writable(store)
    serve(StoreFolder(store.absolute()), tracking_uri, port)


if __name__ == "__main__":
    main()
