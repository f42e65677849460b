"""Which cells are meant, what each has measured, and how far replicates of one setting lie apart.

What a replicate is stands in replicates.py. Within it, distinct trainings are averaged first, so that a stage that many
cells share counts once and a replicate with more cells does not weigh more. Only the settings that every replicate has
are averaged (balance.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.balance import Replicate, SplitSeed, balanced
from mfsweep.analysis.metric import find
from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.replicates import labels
from mfsweep.analysis.table import AxisValue, order, scalar, stage_key
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord
from mfsweep.spec.figures import Cells

Values = tuple[AxisValue, ...]
"""Values of some axes, in their order."""
Setting = tuple[tuple[str, AxisValue], ...]
"""The axis values that replicates share, by axis."""


class MeasuredCell(NamedTuple):
    """One cell's value of one metric."""

    cell: CellRecord
    key: str
    """Stage key."""
    value: float
    """In the unit of the quantity; above 0."""
    method: str | None
    """Label method it was measured against."""
    replicate: Replicate
    """Seed and split seed."""
    converged: bool
    """The head behind it, and all that its stage starts from."""


class Spread(NamedTuple):
    """A setting's value over its replicates."""

    value: float
    """Geometric mean."""
    low: float
    high: float
    """Least and greatest replicate."""
    error: float
    """Standard error of the mean; NaN with one replicate."""
    replicates: int
    capped: bool
    """Whether any of them has not converged."""
    left_out: int = 0
    """Trainings that not every replicate has, and whose settings or replicates are therefore not averaged."""


def matches(values: Mapping[str, Any], where: Cells) -> bool:
    """Return whether a cell of these axis values is among the cells that are meant; an absent axis is None."""
    return all(
        scalar(values.get(axis)) in (wanted if isinstance(wanted, tuple) else (wanted,))
        for axis, wanted in where.items()
    )


def select(cells: Iterable[CellRecord], where: Cells) -> list[CellRecord]:
    """Return the cells that are meant."""
    return [cell for cell in cells if matches(cell.values, where)]


def values_of(cell: CellRecord, axes: Sequence[str]) -> Values:
    """Return a cell's values of some axes."""
    return tuple(scalar(cell.values.get(axis)) for axis in axes)


def setting_of(cell: CellRecord) -> Setting:
    """Return a cell's axis values, seeds left out."""
    return tuple(sorted((axis, scalar(value)) for axis, value in cell.values.items() if axis not in SEED_AXES))


def measure(records: Records, cells: Iterable[CellRecord], path: str) -> list[MeasuredCell]:
    """Return the metric of each cell that has it, values without a logarithm left out.

    Raises:
        FitError: a path that is misspelt, or that leaves open which of several methods it means.
    """
    metric = MetricPath.parse(path)
    made: list[MeasuredCell] = []
    for cell in cells:
        key = stage_key(cell, metric)
        stage = records.stage(key) if key else None
        found = find(stage, metric) if stage else None
        if key and stage and found and math.isfinite(found.value) and found.value > 0:
            replicate = stage.seed, stage.split_seed
            converged = records.converged(key, found.name)
            made.append(MeasuredCell(cell, key, found.value, found.method, replicate, converged))
    return made


def measure_some(records: Records, cells: Sequence[CellRecord], path: str) -> list[MeasuredCell]:
    """Return the metric of each cell that has it.

    Raises:
        FitError: none has.
    """
    if made := measure(records, cells, path):
        return made
    raise FitError(f"none of {len(cells)} cells has {path} yet")


def grouped(members: Iterable[MeasuredCell], axes: Sequence[str]) -> dict[Values, list[MeasuredCell]]:
    """Return the measured cells by their values of some axes: numbers by value, after texts in the spec's order."""
    found: dict[Values, list[MeasuredCell]] = {}
    for one in members:
        found.setdefault(values_of(one.cell, axes), []).append(one)
    ranks = [_ranks([values[place] for values in found]) for place in range(len(axes))]
    in_order = sorted(found, key=lambda values: [rank[value] for rank, value in zip(ranks, values, strict=True)])
    return {values: found[values] for values in in_order}


def spread(members: Iterable[MeasuredCell]) -> Spread:
    """Return the value of some cells over their replicates; `members` are not empty.

    Where replicates have different cells, those are left out that some replicate lacks, or the replicate is.
    """
    members = list(members)
    replicate = labels(one.replicate for one in members)
    found: dict[SplitSeed, dict[Setting, list[MeasuredCell]]] = {}
    for one in members:
        found.setdefault(replicate[one.replicate], {}).setdefault(setting_of(one.cell), []).append(one)
    kept = balanced({label: own.keys() for label, own in found.items()})
    replicates = [
        {one.key: one for setting, of in found[label].items() if setting in kept.settings for one in of}
        for label in kept.replicates
    ]
    logs = np.array([np.mean([math.log(one.value) for one in own.values()]) for own in replicates])
    used = {key for own in replicates for key in own}
    mean = float(np.exp(logs.mean()))
    return Spread(
        value=mean,
        low=float(np.exp(logs.min())),
        high=float(np.exp(logs.max())),
        error=mean * float(logs.std(ddof=1) / math.sqrt(len(logs))) if len(logs) > 1 else math.nan,
        replicates=len(logs),
        capped=not all(one.converged for own in replicates for one in own.values()),
        left_out=len({one.key for one in members} - used),
    )


def averaged(members: Iterable[MeasuredCell], axes: Iterable[str]) -> str:
    """Return over what a figure that sets apart only these axes averages, for its caption."""
    members = list(members)
    other = dict.fromkeys(axis for one in members for axis in one.cell.values if axis not in {*axes, *SEED_AXES})
    telling = [axis for axis in other if len({values_of(one.cell, [axis]) for one in members}) > 1]
    return " and ".join([*(axis.replace("_", " ") for axis in telling), "seeds"])


def text(value: AxisValue) -> str:
    """Return an axis value as a figure or a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return value.replace("_", " ")


def label(values: Values) -> str:
    """Return the text of one line, bar or row."""
    return ", ".join(map(text, values))


def title(axes: Sequence[str]) -> str:
    """Return what the values of a `label` mean."""
    return ", ".join(axis.replace("_", " ") for axis in axes)


def _ranks(column: Sequence[AxisValue]) -> dict[AxisValue, int]:
    texts = [value for value in dict.fromkeys(column) if not isinstance(value, int | float)]
    numbers = sorted({value for value in column if isinstance(value, int | float)}, key=order)
    return {value: rank for rank, value in enumerate([*texts, *numbers])}
