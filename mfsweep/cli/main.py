"""The command line. Every command imports what it needs when it runs, so that `--help` and `plan` answer at once."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from mfsweep import __version__
from mfsweep.cli import DEFAULT_STORE
from mfsweep.errors import MfsweepError

if TYPE_CHECKING:
    from rich.console import Console

    from mfsweep.prepare import Plan

WRONG_INPUT = 2
INTERRUPTED = 130

_P = ParamSpec("_P")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one message and exit code 2, Ctrl-C in 130."""
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
    except BrokenPipeError:
        # Whoever read our output has gone (`mfsweep plan ... | head`): say no more, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


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


_store = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STORE,
    envvar="MFSWEEP_STORE",
    show_default=True,
    show_envvar=True,
    help="Folder of all records.",
)


def _spec_and_store(command: Callable[_P, Any]) -> Callable[_P, Any]:
    return click.argument("spec", type=click.Path(path_type=Path))(_store(command))


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")


@cli.command()
@_spec_and_store
@_as_json
def plan(spec: Path, store: Path, *, as_json: bool) -> None:
    """Show what SPEC comes to: cells, stages to train, what they share, what is done. Trains nothing.

    \b
    Example:  mfsweep plan search_spaces/quickstart.yaml
    """  # noqa: D301
    gc.disable()  # a plan makes many small objects and frees none: looking for garbage costs a tenth of it
    prepared = _prepare(spec, store)
    if as_json:
        click.echo(json.dumps(prepared.summary(), indent=1))
        return
    _print_plan(_console(), prepared)


@cli.command()
@_spec_and_store
@_as_json
@click.option("--smoke", is_flag=True, help="Run 20 steps and one evaluation of each kind of stage, keep nothing.")
@click.option(
    "--workers", type=click.IntRange(1), help="In place of resources.workers; never changes a result's identity."
)
@click.option("--gpus-per-worker", type=click.FloatRange(0, 1), help="In place of resources.gpus_per_worker.")
@click.option(
    "--cpus-per-worker", type=click.FloatRange(0, min_open=True), help="In place of resources.cpus_per_worker."
)
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of tracking.uri.  [env: MLFLOW_TRACKING_URI]"
)
@click.pass_context
def run(
    ctx: click.Context, spec: Path, store: Path, *, as_json: bool, smoke: bool, tracking_uri: str | None, **over: Any
) -> None:
    """Train every stage of SPEC that the store lacks, then fit its laws and write its report.

    Running it again goes on where it stopped: what has a record is never trained twice. It joins the Ray cluster of
    RAY_ADDRESS, or of the job it runs in, or starts Ray here.

    \b
    Examples:  mfsweep run search_spaces/quickstart.yaml
               mfsweep run search_spaces/quickstart.yaml --smoke
               ray job submit --address http://head:8265 -- mfsweep run spec.yaml --store /shared/store
    """  # noqa: D301
    _show_ray_the_token()
    from mfsweep.cli import run as running

    console = _console(stderr=as_json)
    prepared = _prepare(spec, store, overrides={name: value for name, value in over.items() if value is not None})
    running.refuse_relative_store(store)
    _print_plan(console, prepared)
    if smoke:
        ctx.exit(running.smoke(prepared, console))
    summary = running.run(prepared, console, tracking_uri)
    if as_json:
        click.echo(json.dumps({"run": summary.run, "reused": summary.reused, "failed": summary.failed}))
    ctx.exit(summary.exit_code)


@cli.command()
@_spec_and_store
@_as_json
def status(spec: Path, store: Path, *, as_json: bool) -> None:
    """Show each stage of SPEC: done (with its error), begun, or to do.

    \b
    Example:  mfsweep status search_spaces/quickstart.yaml
    """  # noqa: D301
    from mfsweep.cli import show

    rows = show.status(_prepare(spec, store))
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        _console().print(show.status_table(rows))


@cli.command()
@_spec_and_store
@_as_json
def fit(spec: Path, store: Path, *, as_json: bool) -> None:
    """Fit the transfer laws of SPEC on what the store has so far.

    \b
    Example:  mfsweep fit search_spaces/quickstart.yaml --json
    """  # noqa: D301
    from mfsweep.cli import show

    analysed = show.analyse(_prepare(spec, store))
    if as_json:
        click.echo(json.dumps(analysed.rows(), indent=1))
    else:
        analysed.write_points()
        analysed.print(_console())


@cli.command()
@_spec_and_store
def report(spec: Path, store: Path) -> None:
    """Write one HTML page with the plan, tables, figures and provenance of SPEC.

    \b
    Example:  mfsweep report search_spaces/quickstart.yaml
    """  # noqa: D301
    from mfsweep.cli import show

    click.echo(show.analyse(_prepare(spec, store)).write_report())


@cli.command()
@_store
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option(
    "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="In place of the store's own.  [env: MLFLOW_TRACKING_URI]"
)
def ui(store: Path, port: int, tracking_uri: str | None) -> None:
    """Open the MLflow UI of a store on localhost.

    \b
    Example:  mfsweep ui --store mfsweep-store
    """  # noqa: D301
    from mfsweep.run.ui import serve
    from mfsweep.store import Store

    serve(Store(store.absolute()), tracking_uri, port)


def _show_ray_the_token() -> None:
    """Let Ray use the token of this machine on the cluster of RAY_ADDRESS; it reads this setting when it is imported.

    `ray start` asks for a token as soon as the machine has one, and a first local Ray makes one; a process that joins
    does not send it unless told to.
    """
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if "RAY_ADDRESS" in os.environ and token.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _prepare(spec: Path, store: Path, overrides: dict[str, Any] | None = None) -> Plan:
    from mfsweep.prepare import prepare

    return prepare(spec, store, overrides or {})


def _print_plan(console: Console, prepared: Plan) -> None:
    from mfsweep.cli import show

    show.print_plan(console, prepared)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


if __name__ == "__main__":
    main()
