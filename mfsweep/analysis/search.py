"""What a search found: the points of each study by their mean over the seeds, the best one, and the flat region.

Points are told apart over replicates (replicates.py): of several partitions the seeds of one are averaged.
The flat region holds every point that cannot be told from the best one, with 95 % confidence for all at once (best.py).
Of two objectives there is no best point but a Pareto front, and the points that cannot be told from it (front.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.balance import Replicate, SplitSeed
from mfsweep.analysis.best import not_worse
from mfsweep.analysis.front import front, not_behind
from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.replicates import by_partition, labels, noun
from mfsweep.analysis.table import AxisValue, as_records, lookup, order
from mfsweep.quantities import RESULT, MetricPath, count
from mfsweep.records import CellRecord
from mfsweep.store import StoreFolder

SHOWN = 5
"""Points that are named where there is no standard error to draw a line by."""

MARKS = ("flat", "front", "not told from it")
"""Columns that say `yes` of a point."""


@dataclass(frozen=True, slots=True)
class SearchedPoint:
    """One point that a search asked for, trained with every seed."""

    values: Mapping[str, AxisValue]
    """Searched axis -> value."""
    scores: tuple[float, ...]
    """The objective of each replicate, in its unit; these are in one order for all points of a study."""
    also: tuple[float, ...] = ()
    """The second objective, likewise, where there are two."""

    @property
    def mean(self) -> float:
        """Return the mean over the replicates: that over the seeds, which the search lowers."""
        return statistics.fmean(self.scores)

    @property
    def means(self) -> tuple[float, ...]:
        """Return the means of the objectives."""
        return tuple(map(statistics.fmean, self.objectives))

    @property
    def objectives(self) -> tuple[tuple[float, ...], ...]:
        """Return the objectives, one or two, of each replicate."""
        return (self.scores, self.also) if self.also else (self.scores,)

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean over the replicates, s / sqrt(n); None with one."""
        return _standard_error(self.scores)

    def measured(self) -> list[str]:
        """Return each mean with its standard error."""
        errors = map(_standard_error, self.objectives)
        return [
            f"{mean:.4g}" + ("" if error is None else f" ± {error:.2g}")
            for mean, error in zip(self.means, errors, strict=True)
        ]


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
    also: MetricPath | None = None
    """The second objective, where there are two."""
    pruned: int = 0
    """Points that the search's pruner gave up."""
    replicate: str = "seed"
    """What a replicate is: seed, fold or partition."""

    @property
    def name(self) -> str:
        """Return the other axes' values as text."""
        return ", ".join(f"{axis}={value}" for axis, value in self.values.items())

    @property
    def ranked(self) -> tuple[SearchedPoint, ...]:
        """Return the points, the lowest mean (of the first objective) first."""
        return tuple(sorted(self.points, key=lambda point: point.mean))

    @property
    def best(self) -> SearchedPoint:
        """Return the point with the lowest mean."""
        return self.ranked[0]

    @property
    def flat(self) -> tuple[SearchedPoint, ...]:
        """Return the points that cannot be told from the best, itself among them, by their values.

        Empty where there is one replicate, and so nothing to tell them by.
        """
        if len(self.best.scores) < 2:
            return ()
        if self.also:
            kept = not_behind(np.array(list(zip(*(point.objectives for point in self.points), strict=True))))
        else:
            kept = not_worse(np.array([point.scores for point in self.points]))
        inside = (point for point, is_inside in zip(self.points, kept, strict=True) if is_inside)
        return tuple(sorted(inside, key=lambda point: [order(value) for value in point.values.values()]))

    @property
    def front(self) -> tuple[SearchedPoint, ...]:
        """Return the points that no other one beats in both objectives, by their means, the best of the first first."""
        kept = front(np.array([point.means for point in self.ranked]).T)
        return tuple(point for point, is_kept in zip(self.ranked, kept, strict=True) if is_kept)

    def sentences(self) -> list[str]:
        """Return what the study says: best point and flat region, or Pareto front, and what was left out."""
        said = self._of_two() if self.also else self._of_one()
        if self.pruned:
            said.append(f"{count(self.pruned, 'point')} pruned: given up by the curves, not compared here")
        if self.unfinished:
            verb = "is" if self.unfinished == 1 else "are"
            said.append(f"{count(self.unfinished, 'point')} {verb} left out: a training failed, or is not done")
        return said

    def _of_two(self) -> list[str]:
        assert self.also is not None
        names = [_short_path(self.objective), _short_path(self.also)]
        units = [path.quantity.unit for path in (self.objective, self.also)]
        of = f"{count(len(self.points), 'point')}, {count(len(self.best.scores), self.replicate)} each"
        said = [f"Pareto front of {names[0]} ({units[0]}) and {names[1]} ({units[1]}), {of}:"]
        said += [f"  {text(point)}: {' and '.join(point.measured())}" for point in self.front]
        others = [point for point in self.flat if point not in self.front]
        if len(self.best.scores) < 2:
            said.append("no standard error with one seed: what lies close to the front cannot be told from it or not")
        elif others:
            said.append(f"not told from the front either (Tukey, 95 %): {'; '.join(map(text, others))}")
        else:
            said.append("every other point is behind the front, with 95 % confidence")
        return said

    def table(self) -> tuple[str, list[str], list[tuple[str, ...]]]:
        """Return the caption, the head and the rows of a table of every point, the best first."""
        paths = [self.objective, *([self.also] if self.also else [])]
        marked = MARKS[1:] if self.also else MARKS[:1]
        means = [f"mean {_short_path(path)}, {path.quantity.unit}" for path in paths]
        on_front, flat = self.front if self.also else (), self.flat
        rows = [
            (
                *map(_short, point.values.values()),
                *point.measured(),
                str(len(point.scores)),
                *(["yes" if point in on_front else ""] if self.also else []),
                "yes" if point in flat else "",
            )
            for point in self.ranked
        ]
        head = [*(axis.replace("_", " ") for axis in self.best.values), *means, f"{self.replicate}s", *marked]
        return f"{count(len(rows), 'point')} by {' and '.join(map(str, paths))}, the best first", head, rows

    def _of_one(self) -> list[str]:
        best, quantity = self.best, self.objective.quantity
        error = best.standard_error
        measured = f"{best.measured()[0]} {quantity.unit}"
        of = f"{count(len(self.points), 'point')}, {count(len(best.scores), self.replicate)} each"
        said = [f"best {text(best)}: {_short_path(self.objective)} {measured} ({of})"]
        if error is None:
            shown = "; ".join(f"{text(point)} {point.mean:.4g}" for point in self.ranked[:SHOWN])
            said.append(f"no standard error with one seed, and so no flat region; the best {SHOWN}: {shown}")
        elif len(self.flat) == 1:
            said.append("flat region: every other point is worse than the best, with 95 % confidence")
        else:
            said.append(f"flat region, not told from the best (Hsu, 95 %): {_flat_text(self.flat, self.points)}")
        return said

    def as_json(self) -> dict[str, Any]:
        """Return the study as plain data."""
        two: dict[str, Any] = {
            "second_objective": _short_path(self.also),
            "second_unit": self.also.quantity.unit,
            "front": [_as_json(point) for point in self.front],
        } if self.also else {}  # fmt: skip
        return {
            "values": dict(self.values),
            "objective": _short_path(self.objective),
            "unit": self.objective.quantity.unit,
            **two,
            "replicate": self.replicate,
            "best": _as_json(self.best),
            "flat": [dict(point.values) for point in self.flat] if self.best.standard_error is not None else None,
            "points": [_as_json(point) for point in self.points],
            "unfinished": self.unfinished,
            "pruned": self.pruned,
        }


def searched(
    store: StoreFolder | Records,
    cells: Sequence[CellRecord],
    axes: Sequence[str],
    objectives: Sequence[str],
    pruned: Container[Mapping[str, AxisValue]] = (),
) -> list[SearchedStudy]:
    """Return the studies of a search that have a finished point, in the order of the cells.

    Args:
        store: where the records lie.
        cells: of all points that were asked for.
        axes: the searched ones.
        objectives: one or two metrics of the result, `validation[.<method>].<quantity>`.
        pruned: the points that were given up, by the values of all axes but the seeds.

    Raises:
        FitError: an objective that the results do not have.
    """
    records = as_records(store, cells)
    paths = [MetricPath.parse(f"{RESULT}.{objective}") for objective in objectives]
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[tuple[Any, ...], _Score | None]]] = {}
    named: dict[tuple[Any, ...], dict[str, AxisValue]] = {}
    for cell in cells:
        others = {a: v for a, v in cell.values.items() if a not in SEED_AXES and a not in axes}
        study = tuple(others.items())
        named[study] = others
        scores = found.setdefault(study, {}).setdefault(tuple(cell.values[axis] for axis in axes), {})
        seeds = tuple(cell.values.get(axis) for axis in sorted(SEED_AXES))
        scores[seeds] = _score(records, cell, paths)
    made: list[SearchedStudy] = []
    for study, points in found.items():
        whole: dict[tuple[Any, ...], list[_Score]] = {}
        given_up = 0
        for values, scores in points.items():
            there = [one for one in scores.values() if one is not None]
            if len(there) == len(scores):
                whole[values] = there
            else:
                given_up += {**named[study], **dict(zip(axes, values, strict=True))} in pruned
        if whole:
            also = paths[1] if len(paths) > 1 else None
            left = len(points) - len(whole) - given_up
            replicate = labels(one.replicate for own in whole.values() for one in own)
            done = tuple(
                SearchedPoint(dict(zip(axes, values, strict=True)), *_averaged(own, replicate))
                for values, own in whole.items()
            )
            name = noun(list(replicate.values()), by_partition(replicate))
            made.append(SearchedStudy(named[study], paths[0], done, left, also, given_up, name))
    return made


class _Score(NamedTuple):
    """What one training of a point has reached."""

    replicate: Replicate
    values: list[float]
    """One for each objective."""


def _score(records: Records, cell: CellRecord, paths: Sequence[MetricPath]) -> _Score | None:
    """Return the objectives of a cell, None where one is not there yet."""
    values = [value for path in paths if (value := lookup(records, cell, str(path))) is not None]
    if len(values) < len(paths):
        return None
    stage = records.stage(cell.stages[cell.result])
    assert stage is not None, "its metrics are there"
    return _Score((stage.seed, stage.split_seed), values)


def _averaged(scores: Sequence[_Score], replicate: Mapping[Replicate, SplitSeed]) -> list[tuple[float, ...]]:
    """Return each objective's means over the trainings of each replicate, the replicates in order."""
    groups: dict[SplitSeed, list[list[float]]] = {}
    for one in scores:
        groups.setdefault(replicate[one.replicate], []).append(one.values)
    means = [
        [statistics.fmean(column) for column in zip(*groups[one], strict=True)] for one in sorted(groups, key=order)
    ]
    return list(zip(*means, strict=True))


def _standard_error(scores: Sequence[float]) -> float | None:
    return statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else None


def _short_path(path: MetricPath) -> str:
    """Return a result's metric as a search names it."""
    return str(path).partition(".")[2]


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
        **({"second_mean": point.means[1], "second_scores": list(point.also)} if point.also else {}),
    }
