"""Cells and records -> points of a law. A metric is named by its path (quantities.py).

`lookup` reads one metric of one cell; `points` makes the (x, y) pairs of a fit, and counts what it left out and why.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.metric import StageMetric, absent, find
from mfsweep.analysis.records import Records
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import RESULT, MetricPath
from mfsweep.records import CellRecord
from mfsweep.store import StoreFolder

AxisValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Point:
    """One cell's (x, y) of a law. Rows of one pre-training share `x_key`, and so the error of x."""

    values: Mapping[str, Any]
    """The cell's axis values."""
    group: tuple[AxisValue, ...]
    """Values of the `group_by` axes, in that order."""
    x: float
    y: float
    """Both in the unit of their quantity."""
    x_key: str
    y_key: str
    """Stage keys. `x_key` is the cluster: it names seed, split seed and pre-training at once."""
    x_method: str | None
    y_method: str | None
    """Label methods that x and y were measured against."""
    x_setting: str
    y_setting: str
    """The stages without their seeds: equal for replicates."""
    seed: int
    split_seed: SplitSeed
    """Partition of the stage that y was measured on."""
    x_step: int
    y_step: int
    """Optimiser steps of the weights behind them."""
    x_converged: bool
    y_converged: bool
    """Whether the head behind each, and all that its stage starts from, converged (docs/fairness.md#rule-10)."""
    sizes: Mapping[str, Mapping[str, int]]
    """Stage name -> label method -> training structures."""
    x_size: float = 0
    """Training structures of the stage that x was measured on, over its methods; 0: not known."""

    @property
    def converged(self) -> bool:
        """Return whether both have converged."""
        return self.x_converged and self.y_converged

    @property
    def apart(self) -> bool:
        """Return whether x and y are of one stage, and of two of its checkpoints."""
        return self.x_key == self.y_key and self.x_step != self.y_step


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a fit, and the cells that gave none."""

    x: str
    y: str
    """The two paths, as the spec writes them."""
    group_by: tuple[str, ...]
    points: tuple[Point, ...]
    vanished: int = 0
    """Cells without the stage of x or y (size 0: direct training has no x)."""
    unfinished: int = 0
    """Cells whose stages are not trained, or not evaluated, yet."""
    not_positive: int = 0
    """Cells with an error that has no logarithm."""
    labels: Mapping[tuple[AxisValue, ...], str] = field(default_factory=dict[tuple[AxisValue, ...], str])
    """Group -> its text, in the order of the groups."""

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        """Iterate over the points."""
        return iter(self.points)


def lookup(store: StoreFolder | Records, cell: CellRecord, path: str) -> float | None:
    """Return one metric of one cell, in the unit of its quantity.

    Returns:
        The value; None where the stage vanished from this cell (all its sets are empty) or is not trained yet.

    Raises:
        FitError: the path names a part, method or quantity that does not exist on the trained stage.
    """
    records = as_records(store, [cell])
    metric = MetricPath.parse(path)
    key = stage_key(cell, metric)
    stage = records.stage(key) if key else None
    if stage is None:
        return None
    found = find(stage, metric)
    if found is None:
        raise FitError(absent(metric, [stage]))
    return found.value


def points(
    store: StoreFolder | Records, cells: Sequence[CellRecord], x: str, y: str, group_by: Sequence[str] = ()
) -> Points:
    """Return the points (x, y) of a law: one for each cell that has both.

    Arguments:
        store: where the records lie.
        cells: the grid.
        x: path of the auxiliary error.
        y: path of the target error.
        group_by: axes; each combination of their values is a group with a line of its own.

    Raises:
        FitError: a path or an axis that no cell has.
    """
    records = as_records(store, cells)
    _check_axes(cells, group_by)
    paths = MetricPath.parse(x), MetricPath.parse(y)
    for path in paths:
        _check_exists(records, cells, path)
    made: list[Point] = []
    vanished = unfinished = not_positive = 0
    for cell in cells:
        keys = [stage_key(cell, path) for path in paths]
        if None in keys:
            vanished += 1
            continue
        stages = [records.stage(key) for key in keys if key]
        pair = [find(stage, path) if stage else None for stage, path in zip(stages, paths, strict=True)]
        if pair[0] is None or pair[1] is None:
            unfinished += 1
        elif not all(math.isfinite(one.value) and one.value > 0 for one in pair if one):
            not_positive += 1
        else:
            size = sum(cell.sizes.get(cell.result if paths[0].stage == RESULT else paths[0].stage, {}).values())
            made.append(_point(records, cell, (keys[0] or "", keys[1] or ""), (pair[0], pair[1]), group_by, size))
    made.sort(key=lambda point: (tuple(map(order, point.group)), point.x))
    labels = {point.group: group_label(group_by, point.group) for point in made}
    return Points(x, y, tuple(group_by), tuple(made), vanished, unfinished, not_positive, labels)


def group_label(group_by: Sequence[str], group: Sequence[AxisValue]) -> str:
    """Return a group's text, `label_method=dft, finetune_size=30`; `all` without axes."""
    return (
        ", ".join(f"{axis}={'-' if value is None else value}" for axis, value in zip(group_by, group, strict=True))
        or "all"
    )


def points_csv(points: Points) -> str:
    """Return the points as CSV, one row a point: axes, x, y, stage keys, steps, seeds, convergence, sizes (JSON)."""
    axes = sorted({axis for point in points for axis in point.values})
    names = ["x", "y", "x_key", "y_key", "x_step", "y_step", "seed_of_y", "split_seed_of_y"]
    names += ["x_converged", "y_converged", "sizes"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["x_metric", "y_metric", *axes, *names])
    for point in points:
        measured: list[object] = [point.x, point.y, point.x_key, point.y_key, point.x_step, point.y_step]
        measured += [point.seed, point.split_seed]
        flags = [
            str(point.x_converged).lower(),
            str(point.y_converged).lower(),
            json.dumps(point.sizes, sort_keys=True),
        ]
        writer.writerow([points.x, points.y, *(scalar(point.values.get(axis)) for axis in axes), *measured, *flags])
    return text.getvalue()


def as_records(store: StoreFolder | Records, cells: Sequence[CellRecord]) -> Records:
    """Return a reader of the cells' records in a store; a reader is its own."""
    return store if isinstance(store, Records) else Records(store, cells)


def scalar(value: Any) -> AxisValue:
    """Return an axis value as one that can be grouped by: a list or mapping becomes its JSON text."""
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)


def _point(
    records: Records,
    cell: CellRecord,
    keys: tuple[str, str],
    pair: tuple[StageMetric, StageMetric],
    group_by: Sequence[str],
    x_size: int,
) -> Point:
    of_x, of_y = records.stage(keys[0]), records.stage(keys[1])
    assert of_x is not None
    assert of_y is not None
    return Point(
        values=cell.values,
        group=tuple(scalar(cell.values.get(axis)) for axis in group_by),
        x=pair[0].value,
        y=pair[1].value,
        x_key=keys[0],
        y_key=keys[1],
        x_method=pair[0].method,
        y_method=pair[1].method,
        x_setting=records.setting(keys[0]),
        y_setting=records.setting(keys[1]),
        seed=of_y.seed,
        split_seed=of_y.split_seed,
        x_step=of_x.weights[pair[0].name].step,
        y_step=of_y.weights[pair[1].name].step,
        x_converged=records.converged(keys[0], pair[0].name),
        y_converged=records.converged(keys[1], pair[1].name),
        sizes=cell.sizes,
        x_size=x_size,
    )


def stage_key(cell: CellRecord, path: MetricPath) -> str | None:
    """Return the key of the stage that a path means in a cell, or None where it vanished from it."""
    return cell.stages.get(cell.result if path.stage == RESULT else path.stage)


def _check_axes(cells: Sequence[CellRecord], group_by: Sequence[str]) -> None:
    axes = {axis for cell in cells for axis in cell.values}
    for axis in group_by:
        if axis not in axes:
            raise FitError(f"group_by: no axis {axis!r}; there are {', '.join(sorted(axes))}.{nearest(axis, axes)}")


def _check_exists(records: Records, cells: Sequence[CellRecord], path: MetricPath) -> None:
    """Refuse a path that no cell can ever have: a stage that no cell has, a metric that no trained stage has."""
    names = {name for cell in cells for name in cell.stages}
    if path.stage != RESULT and path.stage not in names:
        known = ", ".join([*sorted(names), RESULT])
        raise FitError(
            f"{path}: no cell has a stage {path.stage!r}; there are {known}.{nearest(path.stage, [*names, RESULT])}"
        )
    keys = {key for cell in cells if (key := stage_key(cell, path))}
    trained = [stage for key in sorted(keys) if (stage := records.stage(key))]
    if trained and not any(find(stage, path) for stage in trained):
        raise FitError(absent(path, trained))


def order(value: AxisValue) -> tuple[int, float, str]:
    """Return a sort key that sorts numbers by value, then texts, absent ones first."""
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))
