"""What a store has measured of a stage and of its replicates: errors by name, with intervals where there are several.

Replicates are stages that differ in nothing but seeds, of weights or partitions, and whose ancestors do too; what is
averaged follows the one definition of a replicate (analysis/replicates.py).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

from mfsweep.analysis.records import Records, TrainedStage, score_of
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.errors import StoreError, nearest
from mfsweep.passport import Score
from mfsweep.quantities import Quantity
from mfsweep.records import Record
from mfsweep.store import StageFolder, StoreFolder

_LEVEL = 0.975


class MeasuredError(NamedTuple):
    """One error of one stage."""

    value: float
    structures: int | None = None
    offsets_only: float | None = None


class BestStage(NamedTuple):
    """The stage of the lowest error."""

    folder: StageFolder
    said: str
    """How it was chosen."""


def measured(folder: StageFolder, record: Record) -> dict[str, MeasuredError]:
    """Return every error of a stage: those of its validation, and those of all evaluations that its folder has.

    Where a shared store holds two evaluations of one name (other offsets, for example), the later ones' names end in
    `#` and the first letters of their identity.
    """
    found = {path: MeasuredError(value) for path, value in record.metrics.items()}
    for stem, one in folder.every_evaluation():
        name = score_of(one.evaluation)
        if any(path.startswith(f"{name}.") for path in found):
            name = f"{name}#{stem.rpartition('.')[2]}"
        for quantity, value in one.metrics.items():
            found[f"{name}.{quantity}"] = MeasuredError(value, one.structures, one.offsets_only.get(quantity))
    return found


def scores(store: StoreFolder, folder: StageFolder, record: Record) -> dict[str, Score]:
    """Return every error of a stage with what its replicates in the store say of it."""
    records = Records(store, ())
    setting = records.setting(folder.key)
    replicates = [
        (own, measured(other, own.record))
        for other in store.stages()
        if (own := records.stage(other.key)) and records.setting(other.key) == setting
    ]
    return {
        path: _score(path, one, [(own, found[path].value) for own, found in replicates if path in found])
        for path, one in measured(folder, record).items()
    }


def best(store: StoreFolder, metric: str, keys: Collection[str] | None = None) -> BestStage:
    """Return the stage of a store with the lowest value of a metric.

    Args:
        store: the store.
        metric: `<score>.<quantity>`, for example test.cc.energy_mae or validation.cc.energy_mae.
        keys: only these stages; None: all.

    Raises:
        StoreError: no stage has it, or stages of different data do.
    """
    found: list[tuple[float, StageFolder]] = []
    origins: dict[str, str] = {}
    known: set[str] = set()
    for folder in store.stages():
        record = folder.record() if keys is None or folder.key in keys else None
        if record is None:
            continue
        own = measured(folder, record)
        known |= own.keys()
        if metric in own:
            found.append((own[metric].value, folder))
            origins.setdefault(_origin(record), folder.key)
    if not found:
        raise StoreError(
            f"--best {metric}: no trained stage of {store.root} has this error: expected <score>.<quantity>, for "
            f"example test.cc.energy_mae.{nearest(metric, known)}"
        )
    if len(origins) > 1:
        raise StoreError(
            f"--best {metric}: stages of {len(origins)} different data sets or splits have this error, for example "
            f"{' and '.join(list(origins.values())[:2])}, which cannot be compared: name one sweep with --spec"
        )
    value, folder = min(found, key=lambda one: one[0])
    unit = _unit(metric)
    said = f"the lowest {metric} ({value:.4g} {unit}) of {len(found)} stages"
    if metric.startswith("test") and len(found) > 1:
        said += ". The test set chose it, so its error here is a little better than on new structures"
    return BestStage(folder, said)


def _origin(record: Record) -> str:
    """Return what stages have to share for their errors to be compared: the data and the shape of the partition."""
    data = record.training["data"]
    splits = {name: value for name, value in data["splits"].items() if name not in ("seed", "fold")}
    return f"{data['digest']} {sorted(splits.items(), key=str)}"


def _score(path: str, one: MeasuredError, values: Iterable[tuple[TrainedStage, float]]) -> Score:
    values = list(values)
    named = [((own.seed, own.split_seed), value) for own, value in values]
    replicate = labels([seed for seed, _ in named])
    groups: dict[int | str, list[float]] = {}
    for seed, value in named:
        groups.setdefault(replicate[seed], []).append(value)
    means = np.array([np.mean(group) for group in groups.values()])
    mean = low = high = said = None
    if len(means) > 1:
        mean = float(means.mean())
        half = float(stats.t.ppf(_LEVEL, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means)))
        low, high = mean - half, mean + half
        said = text(list(groups), by_partition([seed for seed, _ in named]))
    return Score(
        value=one.value,
        unit=_unit(path),
        structures=one.structures,
        offsets_only=one.offsets_only,
        low=low,
        high=high,
        mean=mean,
        replicates=len(means),
        replicate=said,
    )


def _unit(path: str) -> str:
    return Quantity(path.rpartition(".")[2]).unit
