"""`mfsweep run --detach`, `logs` and `cancel`: sweeps that a Ray cluster runs without us."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfsweep.cli.options import as_json, console, print_json, show_ray_the_token
from mfsweep.store.remote import name_of_store

if TYPE_CHECKING:
    from mfsweep.run.jobs import Jobs, Submitted

address_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    help="Address of the cluster's dashboard, http://HEAD:8265.  [env: RAY_API_SERVER_ADDRESS]",
)
_OPTIONS = {"costs": "cost"}
"""Name of a value -> that of its option, where it is not the same."""
job_argument = click.argument("job")


def jobs_at(address: str | None) -> Jobs:
    """Return the jobs of the cluster at an address that a user has given, or not."""
    if address is None:
        raise click.UsageError("--address http://HEAD:8265 is needed, the address of the cluster's dashboard.")
    show_ray_the_token(joins=True)
    from mfsweep.run.jobs import Jobs

    return Jobs(address)


def detach(address: str | None, specs: Sequence[Path], store: Path, options: Mapping[str, Any]) -> None:
    """Submit a run, and say how to follow it; with `json` among its options that is said beside the output."""
    jobs = jobs_at(address)
    from mfsweep.spec.load import load
    from mfsweep.sweep.detached import submit

    # An address may hold a password, and the command of a job is shown to everyone.
    notify = options.get("notify", ())
    if any(len(target.split()) > 1 for target in notify):
        raise click.UsageError("--notify with --detach: an address, or a command without spaces that the head has.")
    hidden = {"MLFLOW_TRACKING_URI": options.get("tracking_uri"), "MFSWEEP_NOTIFY": " ".join(notify)}
    environment = {name: value for name, value in hidden.items() if value}
    words = option_words({name: value for name, value in options.items() if name not in ("tracking_uri", "notify")})
    job = submit(jobs, specs, store, words, environment)
    if as_json := bool(options.get("json")):
        names = [load(path).experiment.name for path in specs]
        print_json({"job": job, "specs": names, "store": name_of_store(store)}, indent=None)
    out = console(stderr=as_json)
    for line in (
        f"Submitted as {job}.",
        f"Follow it:  mfsweep logs {job} --address {address} --follow",
        f"End it:     mfsweep cancel {job} --address {address}",
        f"Its stages: mfsweep status {specs[0]} --store {name_of_store(store)}, where the store can be seen",
    ):
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Return options as words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        option = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
        if isinstance(value, Mapping):
            words += [word for key, number in value.items() for word in (option, f"{key}={number}")]
        else:
            words += [option] if value is True else [option, str(value)]
    return words


def job_line(job: Submitted) -> str:
    """Return how a job stands, in a line."""
    words = [job.id, job.status.lower()]
    if job.started:
        words.append(time.strftime("since %Y-%m-%d %H:%M", time.localtime(job.started)))
    if job.ended:
        words.append(time.strftime("until %Y-%m-%d %H:%M", time.localtime(job.ended)))
    return " ".join(words) + (f": {job.message.strip().splitlines()[0]}" if job.message.strip() else "")


@click.command()
@job_argument
@address_option
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
def logs(job: str, address: str | None, *, follow: bool) -> None:
    """Print what a job of `run --detach` has said; JOB is its id, or the name of a spec: its latest job.

    Whether the job ended well is the exit code of `--follow`: 0, else 1.

    \b
    Example:  mfsweep logs quickstart --address http://localhost:8265 --follow
    """  # noqa: D301
    jobs = jobs_at(address)
    ended = jobs.logs(jobs.find(job), lambda text: click.echo(text, nl=False), follow=follow)
    if follow and ended.is_over and ended.status != "SUCCEEDED":
        click.get_current_context().exit(1)


@click.command()
@job_argument
@address_option
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@as_json
def cancel(job: str, address: str | None, *, no_wait: bool, as_json: bool) -> None:
    """End a job of `run --detach`: its stages stop at a checkpoint, and the same run goes on from there.

    JOB is its id, or the name of a spec: its latest job.

    \b
    Example:  mfsweep cancel quickstart --address http://localhost:8265
    """  # noqa: D301
    jobs = jobs_at(address)
    ended = jobs.cancel(jobs.find(job), wait=not no_wait)
    if as_json:
        print_json(ended.as_json(), indent=None)
    else:
        console().print(job_line(ended), soft_wrap=True, markup=False, highlight=False)
