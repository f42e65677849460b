"""Row 7: points a second into an sqlite tracking store, and what tracking costs a training step.

`log_metric` writes a point a call, as a training loop that talks to MLflow does; `log_batch` is the fastest
that MLflow's client offers, with 1000 points in memory. `mfsweep` is the whole way: read the stage's metrics.jsonl,
find what is new, write it, end the run. Wall time, because a commit waits for the disk; the contestants take turns.

On the training path there are only the lines that rank 0 appends to metrics.jsonl; the second table sets it beside a
step of 60 ms (MACE with 16 channels on two cores, energies alone), and the writer's processor time beside that of the
points' own steps.

    OMP_NUM_THREADS=1 python tests/benchmarks/tracking.py
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric
from paired import table

from mfsweep.metrics_file import append, line
from mfsweep.run.tracking import TrackedStage, Tracker

ROUNDS = 5
POINTS = 20_000
SINGLE_POINTS = 100
METRICS_PER_LINE = 5
STEP_SECONDS = 0.06
LINES = POINTS // METRICS_PER_LINE


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    uri = f"sqlite:///{folder}/mlflow.db"
    Tracker.open(uri, "warm-up", sweep="warm-up", artifacts=folder / "artifacts", guard=folder / "guard").close(
        "FINISHED"
    )
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("by hand", artifact_location=folder.as_uri())
    lines = folder / "metrics.jsonl"
    on_path = _append_lines(lines)
    numbers = itertools.count()
    cpu: list[float] = []

    def log_metric() -> tuple[int, float]:
        run = client.create_run(experiment).info.run_id
        start = time.perf_counter()
        for point in _points(SINGLE_POINTS):
            client.log_metric(run, point.key, point.value, point.timestamp, point.step)
        return SINGLE_POINTS, time.perf_counter() - start

    def log_batch() -> tuple[int, float]:
        run = client.create_run(experiment).info.run_id
        points = _points(POINTS)
        start = time.perf_counter()
        for first in range(0, POINTS, 1000):
            client.log_batch(run, points[first : first + 1000])
        return POINTS, time.perf_counter() - start

    def ours() -> tuple[int, float]:
        name = f"sweep{next(numbers)}"
        tracker = Tracker.open(uri, name, sweep=name, artifacts=folder / "artifacts", guard=folder / "guard")
        start, cpu_start = time.perf_counter(), time.process_time()
        tracker.add(TrackedStage(name, "stage", lines))
        tracker.finish(name, "FINISHED")
        lost = tracker.close("FINISHED")
        assert not lost, lost
        cpu.append(time.process_time() - cpu_start)
        return POINTS, time.perf_counter() - start

    contestants: dict[str, Callable[[], tuple[int, float]]] = {
        "mfsweep, file to ended run": ours,
        "log_batch of 1000": log_batch,
        "log_metric": log_metric,
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(ROUNDS + 1):
        for name, run in contestants.items():
            points, seconds = run()
            if turn:  # the first turn warms up
                rates[name].append(points / seconds)
    print(table(rates, "mfsweep, file to ended run", "points/s"))

    per_line = statistics.median(cpu[1:]) / LINES
    single = METRICS_PER_LINE / statistics.median(rates["log_metric"])
    print(
        f"\n| with {METRICS_PER_LINE} metrics at every step of {STEP_SECONDS * 1e3:g} ms | ms a step | share of the step |"
    )
    print("|---|---|---|")
    for name, seconds in [
        ("on the training path: lines made and appended", on_path),
        ("elsewhere: the writer's processor time", per_line),
        ("for comparison: log_metric in the training loop", single),
    ]:
        print(f"| {name} | {seconds * 1e3:.3f} | {seconds / STEP_SECONDS:.2%} |")


def _append_lines(path: Path) -> float:
    """Write the metrics file as the trainer does, in pieces of 100 steps; return the seconds a step."""
    start = time.perf_counter()
    for first in range(0, LINES, 100):
        append(path, [line(step, _metrics(step), time.time()) for step in range(first, first + 100)])
    return (time.perf_counter() - start) / LINES


def _metrics(step: int) -> dict[str, float]:
    return {f"train.loss_{index}": 1 / (step + index + 1) for index in range(METRICS_PER_LINE)}


def _points(count: int) -> list[Metric]:
    now = round(time.time() * 1000)
    return [
        Metric(key, value, now + step, step)
        for step in range(count // METRICS_PER_LINE)
        for key, value in _metrics(step).items()
    ]


if __name__ == "__main__":
    main()
