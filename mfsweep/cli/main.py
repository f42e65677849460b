"""The command line. Every command imports what it needs when it runs, so that `--help` and `plan` answer at once."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

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
from mfsweep.cli.jobs import cancel, logs
from mfsweep.cli.launch import launch
from mfsweep.cli.plan import bench, plan
from mfsweep.cli.results import fit, report, ui
from mfsweep.cli.run import run
from mfsweep.cli.screen import lenient_output
from mfsweep.cli.select import select
from mfsweep.cli.standing import status
from mfsweep.cli.store import store as store_commands
from mfsweep.cli.track import track
from mfsweep.cli.validate import validate
from mfsweep.errors import MfsweepError
from mfsweep.files import FULL_DISK, NOT_ALLOWED
from mfsweep.masking import masked

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130


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
        elif error.errno in NOT_ALLOWED:
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
cli.add_command(run)
cli.add_command(fit)
cli.add_command(report)
cli.add_command(ui)
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


if __name__ == "__main__":
    main()
