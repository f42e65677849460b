"""`mfsweep data label` from its options to the last line on the screen."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mfsweep.data.labellers import default_name, parse, read_options
from mfsweep.errors import DataError
from mfsweep.quantities import span
from mfsweep.run import cluster
from mfsweep.run.labelling import LabelSummary, Request, label
from mfsweep.run.labelling import model as label_model
from mfsweep.run.progress import HEARTBEAT_SECONDS
from mfsweep.store import StoreFolder

_SHOWN = 3
"""Kinds of failures that the summary repeats."""


def request(
    dataset: Path, method: str, options: str | None, head: str | None, store: Path, *, name: str | None, **rest: Any
) -> Request:
    """Return what the command line asks for.

    Raises:
        MfsweepError: no such method, option, stage or head, or a name that labels cannot have.
    """
    if cluster.in_job() and not dataset.is_absolute():
        raise DataError(
            f"{dataset}: inside a Ray job an absolute path on shared storage is expected: the job's working folder "
            "is Ray's own and is deleted"
        )
    chosen = read_options(options)
    if method.startswith(label_model.MODEL):
        if chosen:
            raise DataError("--options: a model has none: expected --head alone")
        model = label_model.find(method, head, StoreFolder(store.absolute()))
        made = Request(dataset, name or model.name, model.method, model, **rest)
    else:
        if head is not None:
            raise DataError(f"--head {head}: only a model has heads, got --method {method}")
        parsed = parse(method, chosen)
        made = Request(dataset, name or default_name(parsed), parsed, **rest)
    if "/" in made.name or made.name != made.name.strip() or not made.name:
        raise DataError(f"--as {made.name!r}: expected a name without `/` or spaces around it")
    return made


def run(request: Request, console: Console) -> LabelSummary:
    """Compute and add the labels, and show how far it is."""
    with LabellingDisplay(console) as display:
        return label(request, display)


class LabellingDisplay:
    """A line that lives on a terminal, and plain lines now and then elsewhere. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._todo = self._tried = self._failed = 0
        self._began = self._spoke = time.monotonic()
        self._live = Live(console=console, get_renderable=self._line, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        """Begin; nothing is shown before there is something to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def begin(self, where: str, slots: int, todo: int) -> None:
        """Say what is to be done, and where."""
        self._todo = todo
        self._began = self._spoke = time.monotonic()
        tasks = "task" if slots == 1 else "tasks"
        self._console.print(f"On {where}: {slots} {tasks} at a time, {todo:,} structures to label.", soft_wrap=True)
        if self._console.is_terminal:
            self._live.start()

    def advance(self, structures: int, failed: int) -> None:
        """Count structures that were tried."""
        self._tried += structures
        self._failed += failed

    def beat(self) -> None:
        """Say now and then, on plain output, how far it is."""
        if not self._console.is_terminal and time.monotonic() - self._spoke > HEARTBEAT_SECONDS:
            self._spoke = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        seconds = time.monotonic() - self._began
        text = f"{self._tried:,} of {self._todo:,} structures ({self._tried / max(self._todo, 1):.0%})"
        if self._tried:
            rate = self._tried / seconds
            text += f", {_rate(rate)}, about {span((self._todo - self._tried) / rate)} left"
        return Text(f"{text}, {self._failed:,} failed")


def say(console: Console, request: Request, summary: LabelSummary) -> None:
    """Print how a labelling ended."""

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    if not summary.labelled:
        line(f"No structure got a label: nothing is added to {request.dataset}.", "red")
    elif not summary.tried and not summary.resumed:
        line(
            f"Nothing to do: {request.dataset} has {request.name!r} for {summary.labelled:,} of "
            f"{summary.structures:,} structures."
        )
    else:
        rate = f", {_rate(summary.tried / summary.seconds)}" if summary.tried else ""
        resumed = f", {summary.resumed:,} from the interrupted run" if summary.resumed else ""
        line(
            f"{summary.tried:,} structures computed in {span(summary.seconds)}{rate}{resumed}. {request.dataset} has "
            f"{request.name!r} for {summary.labelled:,} of {summary.structures:,} structures."
        )
    if summary.failures:
        line(f"{len(summary.failures):,} structures failed and have no label (NaN):", "yellow")
        for text in _reasons(summary):
            line(f"  {text}", "yellow")
        if not request.retry_failed:
            line("  --retry-failed tries them again.", "yellow")
    if summary.cost is not None:
        line(
            f"Cost of a label: {summary.cost:.4g} core-seconds on average, which a spec's figure takes by "
            "`costs: {METHOD: measured}`."
        )


def say_interrupted(console: Console, request: Request) -> None:
    """Print how to go on."""
    text = f"Interrupted: what is computed is kept beside {request.dataset}; the same command goes on."
    console.print(Text(text), soft_wrap=True)


def as_json(request: Request, summary: LabelSummary) -> dict[str, Any]:
    """Return how a labelling ended, as plain data."""
    return {
        "dataset": str(request.dataset),
        "name": request.name,
        "method": request.method.identity(),
        "structures": summary.structures,
        "labelled": summary.labelled,
        "tried": summary.tried,
        "resumed": summary.resumed,
        "seconds": summary.seconds,
        "core_seconds_per_label": summary.cost,
        "failures": {str(index): why for index, why in summary.failures.items()},
    }


def _reasons(summary: LabelSummary) -> list[str]:
    """Return the commonest reasons, each with the first structure that failed so."""
    first: dict[str, int] = {}
    for index, why in summary.failures.items():
        first.setdefault(why, index)
    common = Counter(summary.failures.values()).most_common()
    lines = [f"{count:,} x {why} (the first is structure {first[why]})" for why, count in common[:_SHOWN]]
    return lines + ([f"and {len(common) - _SHOWN} other reasons; --json lists all"] if len(common) > _SHOWN else [])


def _rate(rate: float) -> str:
    return f"{rate:.3g} structures/s" if rate < 1000 else f"{rate:,.0f} structures/s"
