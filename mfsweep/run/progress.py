"""What a person sees of a run: a live table on a terminal, plain lines when the output is piped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mfsweep.plan.graph import Node, StageGraph
from mfsweep.quantities import Quantity, span
from mfsweep.run.stage_status import PAUSED
from mfsweep.spec.axes import Value

HEARTBEAT_SECONDS = 30.0
"""Between two plain lines that say only that the run goes on."""
NARROW = 100
"""Columns below which the live table has no bars and no speed."""
TOLD_FROM = 0.05
"""Share of the work that is done before the time left is told; a stage must have ended too, or half of one be done."""


@contextlib.contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """Say that something is under way which takes seconds: with a spinner on a terminal, else in a line."""
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        console.print(what, soft_wrap=True, highlight=False)
        yield


@dataclass
class _Running:
    node: Node
    since: float
    paused: str = ""
    """Why it waits."""
    last: dict[str, Any] = field(default_factory=dict)


class SweepDisplay:
    """Shows a sweep while it runs. Use as a context manager around it."""

    def __init__(self, console: Console, graph: StageGraph, reused: frozenset[str]) -> None:
        self.console = console
        self._graph = graph
        self._reused = reused
        self._to_do = sum(_weight(node) for key, node in graph.nodes.items() if key not in reused)
        self._ended: set[str] = set()
        self._done = len(reused)
        """Stages that were reused or have ended."""
        self._steps = 0.0
        """Steps of the stages that have ended."""
        self._search = ""
        self.failed: Callable[[str, str], object] = lambda key, stage: None  # noqa: ARG005 (by default nobody)
        """Is told the key and the name of a stage that has failed."""
        self.waiting = 0
        """Stages that have been handed out and wait for their workers."""
        self._running: dict[str, _Running] = {}
        self._began = self._spoke = time.monotonic()
        self._first: float | None = None
        """When the first stage had its worker: what is before says nothing of how fast it goes."""
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        """Begin."""
        if self.console.is_terminal:
            self._live.start()
        elif self._to_do:
            self.say(f"{self._state()}; the first workers take some seconds to start")
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def grow(self, graph: StageGraph, search: str) -> None:
        """Take the graph that a search has grown, and how far the search is."""
        self._graph = graph
        self._search = search

    def started(self, key: str) -> None:
        """Show that a stage got a worker."""
        self._first = self._first or time.monotonic()
        self._running[key] = _Running(self._graph.nodes[key], time.monotonic())
        if not self.console.is_terminal:
            self.say(f"start  {describe(self._graph.nodes[key])}")

    def reported(self, key: str, progress: dict[str, Any]) -> None:
        """Show a stage's progress (loop.Progress as a dict)."""
        running = self._running.get(key)
        if running and running.paused != (paused := progress.get(PAUSED, "")):
            running.paused = paused
            self.say(f"{'pauses' if paused else 'goes on'}  {describe(running.node)}{paused and f': {paused}'}")
        if running and "step" in progress:
            running.last = progress
        self.beat()

    def lost(self, key: str, what: str) -> None:
        """Say that a stage has lost its workers and waits for others."""
        self._running.pop(key, None)
        self.say(f"again  {describe(self._graph.nodes[key])}: {what}")

    def ended(self, key: str, outcome: str, kept: str = "") -> None:
        """Say how a stage ended, and what it kept: the last validation, which was shown before, is another's."""
        node = self._graph.nodes[key]
        running = self._running.pop(key, None)
        if key not in self._ended:
            self._ended.add(key)
            self._done += key not in self._reused
            self._steps += _weight(node)
        if outcome == "failed":
            self.failed(key, describe(node))
        took = f" in {span(time.monotonic() - running.since)}" if running else ""
        self.say(f"{outcome:<6} {describe(node)}{took}" + (f": {kept}" if kept else ""))

    def beat(self) -> None:
        """Say now and then, on plain output, that the run goes on."""
        if not self.console.is_terminal and time.monotonic() - self._spoke > HEARTBEAT_SECONDS:
            self.say(self._state())

    def say(self, text: str) -> None:
        """Say something, with the time since the beginning."""
        self._spoke = time.monotonic()
        self.console.print(Text(f"{span(time.monotonic() - self._began):>7}  {text}"), soft_wrap=True, highlight=False)

    def _state(self) -> str:
        done, total = self._done, len(self._graph.nodes)
        queued = total - done - len(self._running) - self.waiting
        waiting = f"{self.waiting} waiting for room on the cluster, " if self.waiting else ""
        state = f"{done} of {total} stages done, {len(self._running)} running, {waiting}{queued} queued"
        # Of a search it is not known yet what is left.
        return f"{state}; {self._search}" if self._search else f"{state}{self._left()}"

    def _left(self) -> str:
        """Return the time left, from the share of the steps that is done; the stages' steps are about as dear."""
        fractions = [_fraction(running) for running in self._running.values()]
        done = self._steps + sum(_weight(r.node) * _fraction(r) for r in self._running.values())
        known = self._ended or max(fractions, default=0.0) >= 0.5
        if self._first is None or not known or done < TOLD_FROM * self._to_do:
            return ""
        elapsed = time.monotonic() - self._first
        return f", about {span(elapsed * (self._to_do - done) / done)} left"

    def _table(self) -> Group:
        wide = self.console.width >= NARROW
        table = Table(box=None, pad_edge=False)
        table.add_column("stage", overflow="fold")
        for column in ("step", *([""] if wide else []), "loss", "validation", *(["structures/s"] if wide else [])):
            table.add_column(column, no_wrap=True)
        for name, running in zip(_told_apart(list(self._running.values())), self._running.values(), strict=True):
            last = running.last
            limit = running.node.training.recipe.max_steps
            table.add_row(
                name,
                f"{last.get('step', 0)}" + (f"/{limit}" if limit else ""),
                *([ProgressBar(total=1, completed=_fraction(running), width=12)] if wide else []),
                f"{last['loss']:.3g}" if last else "",
                _error_of(last, running.node),
                *([f"{last['structures_per_second']:.0f}" if last else ""] if wide else []),
            )
        return Group(table, Text(self._state(), style="bold"))


def describe(node: Node, first: Sequence[str] = ()) -> str:
    """Return a stage's name with its axis values, those of the axes `first` before the others."""
    axes = sorted(node.values, key=lambda axis: axis not in first)
    values = " ".join(f"{axis}={_short(node.values[axis])}" for axis in axes)
    return f"{node.name} {values}".rstrip()


def _told_apart(running: Sequence[_Running]) -> list[str]:
    """Return the names of stages for rows that may be narrow: the axes in which they differ come first."""
    axes = dict.fromkeys(axis for one in running for axis in one.node.values)
    differ = [axis for axis in axes if len({repr(one.node.values.get(axis)) for one in running}) > 1]
    return [describe(one.node, differ) for one in running]


def _short(value: Value) -> str:
    """Return a value as text; one that a search has drawn has more digits than anyone reads."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _error_of(progress: dict[str, Any], node: Node) -> str:
    validation = progress.get("validation", {})
    method = node.training.methods[0]
    value = validation.get(f"validation.{method}.{Quantity.ENERGY_MAE}")
    return f"{method} {value:.1f} {Quantity.ENERGY_MAE.unit}" if value is not None else ""


def _weight(node: Node) -> float:
    return float(node.training.recipe.max_steps or node.training.recipe.schedule.stop_steps)


def _fraction(running: _Running) -> float:
    return min(1.0, running.last.get("step", 0) / _weight(running.node))
