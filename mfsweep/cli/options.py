"""What several commands share: their options, and how a spec becomes a plan and a console is made."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from mfsweep.errors import StoreError
from mfsweep.files import json_text
from mfsweep.store import DEFAULT_STORE, StoreFolder
from mfsweep.store.remote import is_url
from mfsweep.sweep.screen import console as console  # noqa: PLC0414 (for the commands)
from mfsweep.sweep.store import Store, place

if TYPE_CHECKING:
    from mfsweep.prepare import Plan
    from mfsweep.sweep.sweep import Sweep
    from mfsweep.sweep.until import RunEnding

_P = ParamSpec("_P")


def _at_home(_: click.Context, __: click.Parameter, path: Path) -> Path:
    """Return a path with a leading ~ replaced, as shells do where they see it: not in `--store=~/x`."""
    with contextlib.suppress(RuntimeError):  # nobody's home: a folder of that name
        path = path.expanduser()
    try:
        path.exists()
    except (OSError, ValueError) as error:  # a name too long, a zero byte
        raise click.BadParameter(f"{str(path)[:80]!r} is no path of a folder: {error}"[:200]) from error
    return path


class _StorePlace(click.Path):
    """A folder, or a URL, which stands for the folder of its working copy."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return place(value) if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


store_option = click.option(
    "--store",
    type=_StorePlace(file_okay=False, path_type=Path),
    callback=_at_home,
    default=DEFAULT_STORE,
    envvar="MFSWEEP_STORE",
    show_default=True,
    show_envvar=True,
    help="Folder of the trained stages and their results, or s3://bucket/prefix.",
)
verify_option = click.option(
    "--verify", is_flag=True, help="Read every data file, also one that looks as it did when it was read last."
)
until_option = click.option(
    "--until",
    metavar="CONDITION",
    help="Train only as much of the grid as it takes: 'FIT.gradient.half_width < 0.1', of a fit of the spec, or "
    "'budget.regret < 5 %', of what --budget should buy.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")


def print_json(value: Any, indent: int | None = 1) -> None:
    """Print what `--json` asks for: alone on the output, and readable by whatever reads JSON."""
    click.echo(json_text(value, indent))


def spec_and_store(command: Callable[_P, Any]) -> Callable[_P, Any]:
    """Give a command one SPEC and the store."""
    return click.argument("spec", type=click.Path(path_type=Path))(store_option(command))


def _costs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """Return METHOD=NUMBER as a dictionary."""
    found: dict[str, float] = {}
    for text in given:
        method, equals, number = text.partition("=")
        try:
            found[method.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not method.strip():
            raise click.BadParameter(f"{text!r}: expected METHOD=NUMBER, for example cc=0.5")
    return found


_DECISION = (
    click.option("--budget", type=float, help="May be spent on labels and training. See `mfsweep budget`."),
    click.option(
        "--unit", help="Of the budget and of --cost: core-hours, or any word. Default: that of the spec's costs."
    ),
    click.option(
        "--cost",
        "label_costs",
        multiple=True,
        callback=_costs,
        metavar="METHOD=NUMBER",
        help="The cost of one label, in place of the spec's; may be repeated.",
    ),
    click.option(
        "--hour", type=float, help="Cost of an hour of training on a core (or GPU). Default: a core-hour is one."
    ),
    click.option("--error", metavar="PATH", help="The error that is to be low: result.test.cc.energy_mae."),
    click.option("--reach", type=float, help="Times the largest trained size that is considered. Default: 10."),
)


def decision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what a decision is of, as `decision`: those arguments of `Sweep.budget` that were given."""
    names = {name: name for name in ("budget", "unit", "hour", "error", "reach")} | {"costs": "label_costs"}

    @functools.wraps(command)
    def with_decision(*args: Any, **given: Any) -> Any:
        decision = {name: given.pop(option) for name, option in names.items()}
        return command(
            *args, decision={name: value for name, value in decision.items() if value not in (None, {})}, **given
        )

    for option in reversed(_DECISION):
        with_decision = option(with_decision)
    return with_decision


_RESOURCES = (
    click.option("--workers", type=click.IntRange(1), help="In place of resources.workers, of all stages."),
    click.option(
        "--gpus-per-worker", type=click.FloatRange(0, 1), help="In place of resources.gpus_per_worker, of all stages."
    ),
    click.option(
        "--cpus-per-worker",
        type=click.FloatRange(0, min_open=True),
        help="In place of resources.cpus_per_worker, of all stages. None of the three changes a result's identity.",
    ),
)


def resources_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say what each stage is given: it goes before `resources:` of the spec and of its stages."""
    for option in reversed(_RESOURCES):
        command = option(command)
    return command


def specs_and_store(command: Callable[_P, Any]) -> Callable[_P, Any]:
    """Give a command one or several SPECs and the store."""
    return click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path))(
        store_option(command)
    )


def prepared(
    spec: Path,
    store: Path,
    overrides: dict[str, Any] | None = None,
    *,
    without_data: bool = False,
    verify: bool = False,
    keep: bool = False,
) -> Plan:
    """Return a spec's plan; only with `without_data` also where a data file is not at hand. `keep`: as of prepare."""
    return opened(spec, store, resources=overrides, verify=verify).plan(without_data=without_data, keep=keep)


def ending(plans: Sequence[Plan], until: str | None, decision: Mapping[str, Any]) -> RunEnding | None:
    """Return at which the run of some plans ends, by the options of a command; None: with the whole grid."""
    if until is None:
        if decision:
            given = ", ".join(f"--{'cost' if name == 'costs' else name}" for name in decision)
            raise click.UsageError(f"{given} without --until 'budget.regret < 5 %': the whole grid has no use for it.")
        return None
    from mfsweep.sweep.budget import BudgetOptions
    from mfsweep.sweep.until import ending_of

    return ending_of(until, plans, BudgetOptions(**decision))


def opened(spec: Path, store: Path, **options: Any) -> Sweep:
    """Return a spec on a store, as a notebook has it; what takes long, and what is damaged, is said beside the output.

    Args:
        spec: the file.
        store: the folder.
        options: of `Sweep`.
    """
    from mfsweep.sweep.sweep import Sweep

    def say(text: str) -> None:
        console(stderr=True).print(text, soft_wrap=True, markup=False)

    def warn(text: str) -> None:
        console(stderr=True).print(f"warning: {text}", style="yellow", soft_wrap=True, markup=False)

    return Sweep(spec, store, say=say, warn=warn, **options)


def looked_at(spec: Path, store: Path) -> Sweep:
    """Return a spec on a store that is there, for a command that only reads.

    Raises:
        MfsweepError: there is no store at the place; before that, what is wrong with the spec.
    """
    sweep = opened(spec, store)
    try:
        require_store(store)
    except StoreError:
        sweep.plan()
        raise
    return sweep


def readable(spec: Path, store: Path) -> Plan:
    """Return a spec's plan for a command that only reads, of several specs perhaps; damage in the store is said.

    Raises:
        StoreError: there is no store at the place.
    """
    return looked_at(spec, store).plan(tell_damage=True)


def writable(store: Path) -> None:
    """Refuse a store that this user may only read, before anything else is done.

    Raises:
        StoreError: with what can be done with it.
    """
    StoreFolder(store.absolute()).require_writable()


def open_store(store: Path) -> Store:
    """Return a store that is there, as a notebook has it.

    Raises:
        StoreError: there is none, with the one near it that was meant, perhaps.
    """
    require_store(store)
    return Store(store)


def require_store(store: Path) -> None:
    """Refuse a store that is not there: a mistyped one would look like one in which nothing has been run.

    Raises:
        StoreError: with the store near it that was meant, perhaps.
    """
    StoreFolder(store).require_there()


def show_ray_the_token(*, joins: bool = False) -> None:
    """Let Ray use the token of this machine on the cluster of RAY_ADDRESS, or with `joins` of another address.

    It reads this setting when it is imported.

    `ray start` asks for a token as soon as the machine has one, and a first local Ray makes one; a process that joins
    does not send it unless told to.
    """
    named = os.environ.get("RAY_AUTH_TOKEN_PATH") or f"{os.environ.get('HOME', '')}/.ray/auth_token"  # as Ray looks
    if (joins or "RAY_ADDRESS" in os.environ) and ("RAY_AUTH_TOKEN" in os.environ or Path(named).exists()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
