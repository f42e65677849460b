"""Gradients of published scaling data by us and by others: do intervals from cheap runs hold what dearer runs show?

    git clone https://github.com/PlanarG/active-sl
    python tests/evidence/active_sl.py --data active-sl/benchmark/dataset

Without `--data` the grid of our own alone: quickstart_points.csv, which `mfsweep run search_spaces/quickstart.yaml` gave
(pre-training's validation error against the fine-tuned test error, meV/atom; one partition, one seed).

The data are those of the benchmark of arXiv:2604.22753 (dataset CC BY 4.0, code MIT), language models in all: validation
loss against parameters or training tokens. They are read where they lie; none are part of this repository. Each table is
written as a CSV file of x, y and group, and read back by what `mfsweep fit --points` calls.

The truth is not known here. What can be tested is the gradient of the lower half of each group's x against that of the
upper half, of dearer runs. Losses have a floor, so that gradients flatten, and no interval of a straight law says so by
itself: what tells is the test of curvature, in the last line of each table.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from coverage import Pair
from others import bootstrap, least_squares, orthogonal
from pyarrow import parquet

from mfsweep.analysis.law import Law
from mfsweep.analysis.points_file import read_points
from mfsweep.analysis.transfer import fit

Row = dict[str, Any]


class Table(NamedTuple):
    """One of the published tables, as points of a law of loss against one quantity."""

    folder: str
    x: str
    y: str
    group: Callable[[Row], str]
    """Runs that differ in x alone."""


TABLES = {
    "loss against parameters, by text and parallel copies": Table(
        "parallel_scaling_law", "num_params", "loss", lambda row: f"{row['group']}, {row['parallel_size']} copies"
    ),
    "loss against tokens, by parameters (Farseer)": Table(
        "farseer_scaling_law", "D", "loss", lambda row: f"{row['N']:.3g} parameters"
    ),
    "loss against parameters, by tokens (Farseer)": Table(
        "farseer_scaling_law", "N", "loss", lambda row: f"{_rounded(row['D']):.3g} tokens"
    ),
    "loss against dense parameters, by experts": Table(
        "moe_scaling_law", "dense_parameter_count", "loss_validation", lambda row: f"{row['num_experts']:.0f} experts"
    ),
}
RECORDED = Path(__file__).with_name("quickstart_points.csv")
HOW = {"least squares": least_squares, "odr": orthogonal, "bootstrap of points": bootstrap}
LEAST = 4
"""Different x that a group has to have in each half."""


def _rounded(tokens: float) -> float:
    """Return a number of tokens to a tenth of a power of two: batches do not divide all alike."""
    return 2.0 ** (round(10 * math.log2(tokens)) / 10)


def points_of(rows: Iterable[Row], table: Table) -> dict[str, list[tuple[float, float]]]:
    """Return group -> x and y of its runs, of repeated x the mean of log y."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        found.setdefault(table.group(row), {}).setdefault(float(row[table.x]), []).append(math.log(row[table.y]))
    return {
        group: sorted((x, math.exp(float(np.mean(logs)))) for x, logs in own.items()) for group, own in found.items()
    }


def halves(groups: dict[str, list[tuple[float, float]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the lower and the upper half of each group's x, of the groups that have enough of both."""
    kept = {group: own for group, own in groups.items() if len(own) >= 2 * LEAST}
    return (
        {group: own[: len(own) // 2] for group, own in kept.items()},
        {group: own[len(own) // 2 :] for group, own in kept.items()},
    )


def fitted(groups: dict[str, list[tuple[float, float]]], folder: Path) -> Law:
    """Write a table as `mfsweep fit --points` takes it, and fit it."""
    path = folder / "points.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "group"])
        writer.writerows((x, y, group) for group, own in groups.items() for x, y in own)
    return fit("law", read_points(path), resamples=400)


def lines(table: Table, data: Path, folder: Path) -> Iterator[str]:
    """Yield the lines of one table: ours, then the others'."""
    source = data / table.folder
    groups = points_of(parquet.read_table(source / "train-00000-of-00001.parquet").to_pylist(), table)
    lower, upper = halves(groups)
    whole = fitted(groups, folder)
    low, high = ((fitted(own, folder) if own else None) for own in (lower, upper))
    assert whole.pooled is not None
    own, early = whole.pooled.interval, low and low.pooled and low.pooled.interval
    told: dict[str, tuple[Pair, Pair | None]] = {
        "mfsweep": ((own.low, own.high), (early.low, early.high) if early else None)
    }
    for name, interval in HOW.items():
        told[name] = interval(whole.points), interval(low.points) if low else None
    truth = high.pooled.gradient if high and high.pooled else None
    later = "too few x" if truth is None else f"{truth:.4f}"
    runs = f"{sum(map(len, groups.values()))} in {len(groups)}"
    for name, (own, early) in told.items():
        held = (
            "" if early is None or not high.pooled else "yes" if early[0] <= high.pooled.gradient <= early[1] else "no"
        )
        shown = "" if early is None else f"{early[0]:.4f} to {early[1]:.4f}"
        yield f"| {name} | {runs} | {own[0]:.4f} to {own[1]:.4f} | {shown} | {later} | {held} |"
    assert whole.checks is not None
    yield f"| what mfsweep says | | | {' '.join(whole.checks.sentences())} | | |"


def recorded() -> Iterator[str]:
    """Yield the lines of the grid of our own."""
    law = fit("recorded", read_points(RECORDED), resamples=400)
    assert law.pooled is not None
    told: dict[str, Pair | None] = {"mfsweep": (law.pooled.interval.low, law.pooled.interval.high)}
    told |= {name: interval(law.points) for name, interval in HOW.items()}
    for name, own in told.items():
        shown = "" if own is None else f"{own[0]:.2f} to {own[1]:.2f}"
        yield f"| {name} | {law.pooled.n} of {law.pooled.clusters} pre-trainings | {shown} |"
    yield f"| what mfsweep says | | {' '.join(law.sentences(groups=False))} |"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder benchmark/dataset of a checkout of active-sl")
    data = parser.parse_args().data
    print("a grid of our own: the quickstart\n\n| method | points | gradient |\n|" + " --- |" * 3)
    for text in recorded():
        print(text)
    if data is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, table in TABLES.items():
            print(f"\n{name}\n")
            print("| method | points, groups | gradient, all x | lower half of x | upper half | held |")
            print("|" + " --- |" * 6)
            for text in lines(table, data, Path(folder)):
                print(text, flush=True)


if __name__ == "__main__":
    main()
