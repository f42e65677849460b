"""What a person sees of a run: rows that can be told apart, times that mean something, lines that are not cut."""

from __future__ import annotations

import io
import signal

import pytest
from rich.console import Console

from mfsweep.plan.expand import expand
from mfsweep.plan.graph import build
from mfsweep.quantities import span
from mfsweep.run import progress
from mfsweep.run.progress import SweepDisplay, waiting
from mfsweep.run.watcher import answer_interrupts
from mfsweep.spec.data import Content
from mfsweep.spec.load import load
from mfsweep.sweep.screen import console

LONG = (
    ("pretrain_size", "number_of_pretraining_structures"),
    ("finetune_size", "number_of_finetuning_structures"),
    ("[20, 60]", "[20, 60]\n  seed: [0, 1, 2]"),
)


@pytest.fixture
def graph(write_spec):
    spec = load(write_spec(*LONG))
    return build(spec, expand(spec), Content(digest="0" * 64))


def screen(width: int, *, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that stands still until it is set."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    own = Clock()
    monkeypatch.setattr(progress, "time", own)
    return own


@pytest.mark.parametrize("width", [80, 120])
def test_rows_are_told_apart_at_any_width(graph, width):
    out = screen(width, terminal=True)
    display = SweepDisplay(out, graph, frozenset())
    keys = [key for key, node in graph.nodes.items() if node.name == "finetune"][:8]
    for key in keys:
        display.started(key)
        display.reported(key, {"step": 2, "loss": 0.1, "structures_per_second": 100.0, "validation": {}})
    out.file.seek(0)
    out.file.truncate()
    out.print(display._table())
    text = out.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    shown = "".join(line[: text.splitlines()[0].index("step")].strip() for line in text.splitlines()[1:-1])
    for key in keys:
        values = graph.nodes[key].values
        wanted = "".join(f"{axis}={value}" for axis, value in values.items())
        for piece in wanted.split("=")[:1]:
            assert piece in shown.replace(" ", "")
    assert "…" not in text, "nothing that tells rows apart is cut"


def test_what_differs_comes_first(graph):
    running = [progress._Running(node, 0.0) for node in graph.nodes.values() if node.name == "finetune"]
    one, other = running[0], next(own for own in running if own.node.values["seed"] != running[0].node.values["seed"])
    alike = [own for own in (one, other) if own.node.values == {**one.node.values, "seed": own.node.values["seed"]}]
    names = progress._told_apart(alike)
    assert all(name.split()[1].startswith("seed=") for name in names) or len(alike) < 2


def test_the_time_left_waits_until_it_means_something(graph, clock):
    display = SweepDisplay(screen(120, terminal=True), graph, frozenset())
    clock.now += 300  # workers start
    keys = list(graph.nodes)
    display.started(keys[0])
    clock.now += 1
    display.reported(keys[0], {"step": 1, "loss": 0.1, "structures_per_second": 1.0, "validation": {}})
    assert "left" not in display._state()
    clock.now += 9
    display.ended(keys[0], "done")
    assert "left" not in display._state(), "one of many says little"
    display.started(keys[1])
    clock.now += 10
    display.ended(keys[1], "done")
    left = len(keys) - 2
    assert display._state().endswith(f"about {span(10 * left)} left"), "the start of the workers is not counted"


def test_a_piped_run_says_at_once_that_it_goes_on(graph):
    out = screen(1000, terminal=False)
    with SweepDisplay(out, graph, frozenset()):
        pass
    assert f"0 of {len(graph.nodes)} stages done" in out.file.getvalue()
    with waiting(out, "Opening MLflow ..."):
        assert "Opening MLflow ..." in out.file.getvalue()


def test_a_piped_line_is_not_wrapped(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print("word " * 60)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_interrupt_is_answered_before_it_is_handled():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("handled"))
    try:
        answer_interrupts(lambda handle: heard.append("said") or handle())
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["said", "handled"]
