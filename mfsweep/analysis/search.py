"""What a search found: the points of each study by their mean over the seeds, the best one, and the flat region.

The flat region holds every point that cannot be told from the best one, with 95 % confidence for all at once (best.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfsweep.analysis.best import not_worse
from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.table import AxisValue, as_records, lookup, order
from mfsweep.quantities import RESULT, MetricPath, count
from mfsweep.records import CellRecord
from mfsweep.store import Store

SHOWN = 5
"""Points that are named where there is no standard error to draw a line by."""


@dataclass(frozen=True, slots=True)
class SearchedPoint:
    """One point that a search asked for, trained with every seed."""

    values: Mapping[str, AxisValue]
    """Searched axis -> value."""
    scores: tuple[float, ...]
    """The objective with each seed, in its unit; the seeds are in one order for all points of a study."""

    @property
    def mean(self) -> float:
        """Return the mean over the seeds, which the search lowers."""
        return statistics.fmean(self.scores)

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean over the seeds, s / sqrt(n); None with one seed."""
        if len(self.scores) < 2:
            return None
        return statistics.stdev(self.scores) / math.sqrt(len(self.scores))


@dataclass(frozen=True, slots=True)
class SearchedStudy:
    """One study: a search at fixed values of the other axes."""

    values: Mapping[str, AxisValue]
    """The other axes but the seeds -> value."""
    objective: MetricPath
    points: tuple[SearchedPoint, ...]
    """Those whose every seed is done, in the order in which they were asked for; at least one."""
    unfinished: int
    """Points left out, because a seed of theirs failed or is not done yet."""

    @property
    def name(self) -> str:
        """Return the other axes' values as text."""
        return ", ".join(f"{axis}={value}" for axis, value in self.values.items())

    @property
    def ranked(self) -> tuple[SearchedPoint, ...]:
        """Return the points, the lowest mean first."""
        return tuple(sorted(self.points, key=lambda point: point.mean))

    @property
    def best(self) -> SearchedPoint:
        """Return the point with the lowest mean."""
        return self.ranked[0]

    @property
    def flat(self) -> tuple[SearchedPoint, ...]:
        """Return the points that cannot be told from the best, itself among them, by their values.

        Empty where there is one seed, and so nothing to tell them by.
        """
        if len(self.best.scores) < 2:
            return ()
        kept = not_worse(np.array([point.scores for point in self.points]))
        inside = (point for point, is_inside in zip(self.points, kept, strict=True) if is_inside)
        return tuple(sorted(inside, key=lambda point: [order(value) for value in point.values.values()]))

    def sentences(self) -> list[str]:
        """Return what the study says: the best point, and the flat region or the points that come next."""
        best, quantity = self.best, self.objective.quantity
        error = best.standard_error
        measured = f"{best.mean:.4g}" + (f" ± {error:.2g}" if error is not None else "") + f" {quantity.unit}"
        of = f"{count(len(self.points), 'point')}, {count(len(best.scores), 'seed')} each"
        said = [f"best {text(best)}: {str(self.objective).partition('.')[2]} {measured} ({of})"]
        if error is None:
            shown = "; ".join(f"{text(point)} {point.mean:.4g}" for point in self.ranked[:SHOWN])
            said.append(f"no standard error with one seed, and so no flat region; the best {SHOWN}: {shown}")
        elif len(self.flat) == 1:
            said.append("flat region: every other point is worse than the best, with 95 % confidence")
        else:
            said.append(f"flat region, not told from the best (Hsu, 95 %): {_flat_text(self.flat, self.points)}")
        if self.unfinished:
            verb = "is" if self.unfinished == 1 else "are"
            said.append(f"{count(self.unfinished, 'point')} {verb} left out: a seed failed, or is not done")
        return said

    def as_json(self) -> dict[str, Any]:
        """Return the study as plain data."""
        return {
            "values": dict(self.values),
            "objective": str(self.objective).partition(".")[2],
            "unit": self.objective.quantity.unit,
            "best": _as_json(self.best),
            "flat": [dict(point.values) for point in self.flat] if self.best.standard_error is not None else None,
            "points": [_as_json(point) for point in self.points],
            "unfinished": self.unfinished,
        }


def searched(
    store: Store | Records, cells: Sequence[CellRecord], axes: Sequence[str], objective: str
) -> list[SearchedStudy]:
    """Return the studies of a search that have a finished point, in the order of the cells.

    Args:
        store: where the records lie.
        cells: of all points that were asked for.
        axes: the searched ones.
        objective: metric of the result, `validation[.<method>].<quantity>`.

    Raises:
        FitError: an objective that the results do not have.
    """
    records = as_records(store, cells)
    path = MetricPath.parse(f"{RESULT}.{objective}")
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[tuple[Any, ...], float | None]]] = {}
    named: dict[tuple[Any, ...], dict[str, AxisValue]] = {}
    for cell in cells:
        others = {a: v for a, v in cell.values.items() if a not in SEED_AXES and a not in axes}
        study = tuple(others.items())
        named[study] = others
        scores = found.setdefault(study, {}).setdefault(tuple(cell.values[axis] for axis in axes), {})
        scores[tuple(cell.values.get(axis) for axis in sorted(SEED_AXES))] = lookup(records, cell, str(path))
    made = []
    for study, points in found.items():
        whole = [
            SearchedPoint(dict(zip(axes, values, strict=True)), _in_order(scores))
            for values, scores in points.items()
            if None not in scores.values()
        ]
        if whole:
            made.append(SearchedStudy(named[study], path, tuple(whole), len(points) - len(whole)))
    return made


def _in_order(scores: Mapping[tuple[Any, ...], float | None]) -> tuple[float, ...]:
    """Return the scores by their seeds."""
    ranked = sorted(scores.items(), key=lambda item: [order(seed) for seed in item[0]])
    return tuple(score for _, score in ranked if score is not None)


def text(point: SearchedPoint) -> str:
    """Return a point's values as text, numbers with four digits."""
    return " ".join(f"{axis} {_short(value)}" for axis, value in point.values.items())


def _flat_text(flat: Sequence[SearchedPoint], points: Sequence[SearchedPoint]) -> str:
    """Return the region as an interval of the axis where every point in between is of it, else its points."""
    axes = list(flat[0].values)
    values = [order(point.values[axes[0]]) for point in flat]
    between = sum(values[0] <= order(point.values[axes[0]]) <= values[-1] for point in points)
    if len(axes) > 1 or between > len(flat):
        return "; ".join(map(text, flat))
    shown = [_short(point.values[axes[0]]) for point in flat]
    return f"{axes[0]} from {shown[0]} to {shown[-1]} ({', '.join(shown)})"


def _short(value: AxisValue) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _as_json(point: SearchedPoint) -> dict[str, Any]:
    return {
        "values": dict(point.values),
        "mean": point.mean,
        "standard_error": point.standard_error,
        "scores": list(point.scores),
    }
