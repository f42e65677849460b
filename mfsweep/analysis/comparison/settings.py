"""Cells of one or several sweeps as settings: one strategy with one budget of labels, over its replicates.

What may be compared is found by content, as in gain.py, not by names of axes: a *family* has data, partition and model
in common, and within it a *target* the sets with the target's labels.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mfsweep.analysis.comparison.label_words import labels_text
from mfsweep.analysis.gain import FinishedCell, outcomes
from mfsweep.analysis.labels_used import labels_used
from mfsweep.analysis.records import Records
from mfsweep.analysis.selection import MeasuredCell, Setting, setting_of, text
from mfsweep.quantities import HOUR
from mfsweep.records import CellRecord, Record

SWEEP = "sweep"
"""The axis that the cells of several sweeps have beside their own: which sweep they are of."""
MEMBER = "setting"
"""The one axis of the cells that claims are judged on: which setting they are of."""


class StrategyCell(NamedTuple):
    """A cell of a grid, whether it is trained yet or not."""

    cell: CellRecord
    strategy: str
    needs: tuple[str, ...] = ()
    """Methods that have to be computed for each prediction (delta-learning)."""


class TrainingWork(NamedTuple):
    """What the trainings of a cell took: its result and all that this starts from."""

    seconds: float
    """Wall time x workers x, on CPUs, threads."""
    machines: frozenset[str]
    """What they were computed on."""
    is_gpu: bool


@dataclass(frozen=True)
class StrategySetting:
    """One strategy with one budget of labels. Replicates are its cells."""

    number: int
    strategy: str
    """With the values of the axes that tell it from others of its name."""
    base: str
    """Its name alone."""
    axes: Setting
    """Axis values, seeds left out."""
    needs: tuple[str, ...]
    labels: Mapping[str, int]
    """Method -> distinct training labels, the mean over replicates."""
    method: str
    """The target's label method."""
    family: str
    """What cells that may be compared at all have in common, in one text."""
    target: str
    """The sets with the target's labels, in one text."""
    outcomes: tuple[FinishedCell, ...]
    """The results of the cells that are trained."""
    work: TrainingWork
    """The geometric mean of the seconds."""

    @property
    def auxiliary(self) -> dict[str, int]:
        """Return the labels of the other methods."""
        return {method: number for method, number in self.labels.items() if method != self.method}

    @property
    def target_first(self) -> dict[str, int]:
        """Return all its labels, the target's first."""
        return {self.method: self.labels.get(self.method, 0)} | self.auxiliary

    @property
    def words(self) -> str:
        """Return its labels in words."""
        return labels_text(self.target_first)

    @property
    def members(self) -> list[MeasuredCell]:
        """Return the errors as the cells of a claim; what has not converged is marked (docs/fairness.md#rule-10)."""
        return [member(self.number, result.cell, result, result.key, result.error) for result in self.outcomes]


def member(number: int, cell: CellRecord, like: FinishedCell, key: str, value: float) -> MeasuredCell:
    """Return a value as the cell of a claim."""
    alone = cell.model_copy(update={"values": {MEMBER: number}})
    return MeasuredCell(alone, key, value, like.method, (like.seed, like.split_seed), like.converged)


def settings(records: Records, candidates: Iterable[StrategyCell], y: str) -> list[StrategySetting]:
    """Return the settings that have a trained cell with the metric, in the grid's order; equal ones once.

    Raises:
        FitError: a path that is misspelt or that leaves something open; cells of an older version.
    """
    grouped: dict[tuple[str, Setting], list[StrategyCell]] = {}
    for candidate in candidates:
        grouped.setdefault((candidate.strategy, setting_of(candidate.cell)), []).append(candidate)
    distinct: dict[tuple[str, frozenset[str]], StrategySetting] = {}
    for (strategy, axes), members in grouped.items():
        # Another axis may have led to the same trainings: direct training has no auxiliary method.
        trainings = strategy, frozenset(member.cell.stages.get(member.cell.result, "") for member in members)
        results = [result for result in outcomes(records, [own.cell for own in members], y) if result.error > 0]
        if results and trainings not in distinct:
            distinct[trainings] = _settled(records, len(distinct), strategy, axes, members, results)
    return _told_apart(list(distinct.values()))


def _settled(
    records: Records,
    number: int,
    strategy: str,
    axes: Setting,
    members: Sequence[StrategyCell],
    results: Sequence[FinishedCell],
) -> StrategySetting:
    used = [labels_used(candidate.cell) for candidate in members]
    work = [_work(records, result.key) for result in results]
    first = results[0]
    return StrategySetting(
        number=number,
        strategy=strategy,
        base=strategy,
        axes=axes,
        needs=members[0].needs,
        labels={method: round(statistics.fmean(labels.get(method, 0) for labels in used)) for method in used[0]},
        method=first.method,
        family=_family(records, first),
        target=first.target,
        outcomes=tuple(results),
        work=TrainingWork(
            math.exp(statistics.fmean(math.log(max(training.seconds, 1e-9)) for training in work)),
            frozenset(name for training in work for name in training.machines),
            any(training.is_gpu for training in work),
        ),
    )


def _family(records: Records, result: FinishedCell) -> str:
    stage = records.stage(result.key)
    assert stage is not None
    training: dict[str, Any] = stage.record.training
    data = training["data"]
    splits = {name: value for name, value in data["splits"].items() if name not in ("seed", "fold")}
    return json.dumps([data["digest"], splits, data.get("column"), training["model"]], sort_keys=True)


def _work(records: Records, key: str) -> TrainingWork:
    """Return what a stage and all that it starts from took: what somebody pays who has none of it."""
    trainings = [_work_alone(record) for record in _lineage(records, key)]
    machines = frozenset(name for training in trainings for name in training.machines)
    seconds = sum(training.seconds for training in trainings)
    return TrainingWork(seconds, machines, any(training.is_gpu for training in trainings))


def _work_alone(record: Record) -> TrainingWork:
    is_gpu = any(machine.device == "cuda" for machine in record.machines)
    threads = 1 if is_gpu else max([machine.threads for machine in record.machines], default=1)
    names = frozenset(machine.name for machine in record.machines)
    return TrainingWork(HOUR * record.device_hours * threads, names, is_gpu)


def _lineage(records: Records, key: str) -> Iterator[Record]:
    at: str | None = key
    while at is not None and (stage := records.stage(at)) is not None:
        yield stage.record
        at = stage.record.parent


def _told_apart(every: Sequence[StrategySetting]) -> list[StrategySetting]:
    """Return the settings with names that tell those of one strategy and one budget apart (an alpha, a recipe)."""
    alike: dict[tuple[object, ...], list[StrategySetting]] = {}
    for setting in every:
        budget = tuple(sorted(setting.labels.items()))
        alike.setdefault((setting.base, setting.family, setting.target, budget), []).append(setting)
    names: dict[int, str] = {}
    for members in alike.values():
        axes = _telling(members)
        for setting in members:
            values = dict(setting.axes)
            told = [f"{axis}={text(values[axis])}" for axis in axes if axis in values]
            names[setting.number] = ", ".join([setting.base, *told])
    return [replace(setting, strategy=names[setting.number]) for setting in every]


def _telling(members: Sequence[StrategySetting]) -> list[str]:
    """Return the axes that tell some settings apart: one that does so alone, best the sweep, else all that differ."""
    differing: dict[str, int] = {}
    for axis in dict.fromkeys(axis for setting in members for axis, _ in setting.axes):
        values = {dict(setting.axes).get(axis) for setting in members}
        if len(values) > 1:
            differing[axis] = len(values)
    alone = [axis for axis, number in differing.items() if number == len(members)]
    if SWEEP in alone:
        return [SWEEP]
    return alone[:1] or list(differing)


def most_alike(setting: StrategySetting, others: Sequence[StrategySetting]) -> StrategySetting:
    """Return that of several settings with which a setting shares most axis values; `others` are not empty."""
    values = dict(setting.axes)
    return max(others, key=lambda other: sum(values.get(axis) == value for axis, value in other.axes))


def family_names(every: Sequence[StrategySetting]) -> dict[str, str]:
    """Return family -> what tells it from the others: the value of an axis, else its number; empty of an only one."""
    families = list(dict.fromkeys(setting.family for setting in every))
    if len(families) == 1:
        return {families[0]: ""}
    for axis in dict.fromkeys(axis for setting in every for axis, _ in setting.axes):
        values: dict[str, set[str]] = {family: set() for family in families}
        for setting in every:
            values[setting.family] |= {text(value) for name, value in setting.axes if name == axis}
        names = [next(iter(own)) for own in values.values() if len(own) == 1]
        if len(set(names)) == len(families):
            return {family: f"{axis} {name}" for family, name in zip(values, names, strict=True)}
    return {family: f"family {number}" for number, family in enumerate(families, 1)}
