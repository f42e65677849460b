"""Learning curves: the validation error of a stage against the number of structures that it was trained on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.table import AxisValue, order, scalar
from mfsweep.quantities import Quantity, metric_path
from mfsweep.records import CellRecord

FEWEST = 3
"""Sizes below which there is no curve."""


class LearningPoint(NamedTuple):
    """One training."""

    size: int
    """Training structures with labels of the method."""
    error: float
    """Validation energy MAE at the selected checkpoint, meV/atom."""
    values: Mapping[str, AxisValue]
    """Axis values of the stage, without seeds and without the axis of its size."""
    converged: bool


class LearningCurve(NamedTuple):
    """Trainings that differ in their size, and in their seeds."""

    values: Mapping[str, AxisValue]
    """What tells the curve apart from the others."""
    trainings: tuple[LearningPoint, ...]
    """By growing size."""

    @property
    def means(self) -> dict[int, float]:
        """Return size -> geometric mean of the errors."""
        by_size: dict[int, list[float]] = {}
        for one in self.trainings:
            by_size.setdefault(one.size, []).append(math.log(one.error))
        return {size: math.exp(statistics.fmean(logs)) for size, logs in by_size.items()}


def learning_curves(records: Records, cells: Sequence[CellRecord]) -> dict[tuple[str, str], list[LearningCurve]]:
    """Return (stage name, method) -> its curves; none of a stage that was trained at fewer than three sizes."""
    found: dict[tuple[str, str], dict[str, LearningPoint]] = {}
    for cell in cells:
        for name, key in cell.stages.items():
            stage = records.stage(key)
            for method, size in cell.sizes.get(name, {}).items() if stage else ():
                path = f"validation.{method}"
                error = stage.metrics.get(metric_path("validation", method, Quantity.ENERGY_MAE)) if stage else None
                if error and error > 0 and size:
                    values = _values(cell, name, size)
                    learned = LearningPoint(size, error, values, records.converged(key, path))
                    found.setdefault((name, method), {}).setdefault(key, learned)
    curves = {place: _curves(list(own.values())) for place, own in found.items()}
    return {
        place: own
        for place, own in curves.items()
        if len({one.size for curve in own for one in curve.trainings}) >= FEWEST
    }


def _values(cell: CellRecord, name: str, size: int) -> dict[str, AxisValue]:
    axes = [axis for axis in cell.axes.get(name, cell.values) if axis in cell.values and axis not in SEED_AXES]
    own = {axis: scalar(cell.values[axis]) for axis in axes}
    return {axis: value for axis, value in own.items() if value != size}


def _curves(own: Sequence[LearningPoint]) -> list[LearningCurve]:
    # An axis is of a size where it is left out of some trainings: a size that has another's number must not be one.
    axes = [axis for axis in own[0].values if all(axis in one.values for one in own)]
    telling = [axis for axis in axes if len({one.values[axis] for one in own}) > 1]
    groups: dict[tuple[AxisValue, ...], list[LearningPoint]] = {}
    for one in own:
        groups.setdefault(tuple(one.values[axis] for axis in telling), []).append(one)
    return [
        LearningCurve(dict(zip(telling, values, strict=True)), tuple(sorted(members, key=lambda one: one.size)))
        for values, members in sorted(groups.items(), key=lambda item: tuple(map(order, item[0])))
    ]
