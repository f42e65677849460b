"""What a store has measured of a stage and of its replicates: errors by name, with intervals where there are several.

Replicates are stages that differ in nothing but seeds, of weights or partitions, and whose ancestors do too; what is
averaged follows the one definition of a replicate (analysis/replicates.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from mfsweep.analysis.balance import Replicate, SplitSeed
from mfsweep.analysis.records import Records, TrainedStage, score_of
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.errors import StoreError, nearest
from mfsweep.passport import Score
from mfsweep.quantities import RESULT, MetricPath, Quantity, count, misspelt, told_apart
from mfsweep.records import CellRecord, Record
from mfsweep.store import StageFolder, StoreFolder

_LEVEL = 0.975


class MeasuredError(NamedTuple):
    """One error of one stage."""

    value: float
    structures: int | None = None
    offsets_only: float | None = None


class BestStage(NamedTuple):
    """A stage of the setting with the lowest error."""

    folder: StageFolder
    said: str
    """How it was chosen."""

    @property
    def key(self) -> str:
        """Return the stage's key."""
        return self.folder.key


class _Candidate(NamedTuple):
    """A stage that has the error."""

    value: float
    folder: StageFolder
    setting: str
    """Equal for replicates."""
    replicate: Replicate


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


def best(store: StoreFolder, metric: str, cells: Sequence[CellRecord] | None = None) -> BestStage:
    """Return a stage of the setting with the lowest value of a metric in a store.

    Of settings with replicates the geometric means over these are compared, over partitions that all of them have: so
    no setting wins by an easy partition. Of several partitions the stage nearest to that mean is taken, of several
    seeds on one partition the lowest.

    Args:
        store: the store.
        metric: its name, test.cc.energy_mae, or its path as a spec and a frame have it, result.test.cc.energy_mae: then
            only among the stages that the path names.
        cells: only stages of these; None: of all stages, those of a path of all sweeps that were run into the store.

    Raises:
        StoreError: no stage has it, stages of different data do, or no two settings have it on one partition.
    """
    path = None if misspelt(metric) else MetricPath.parse(metric)
    if path and cells is None:
        cells = [cell for name in store.sweep_names() for cell in store.sweep(name).cells()]
    keys = None if cells is None else _keys(metric, cells, path and path.stage)
    records = Records(store, ())
    found: list[_Candidate] = []
    origins: dict[str, str] = {}
    known: set[str] = set()
    for folder in store.stages():
        stage = records.stage(folder.key) if keys is None or folder.key in keys else None
        if stage is None:
            continue
        own = measured(folder, stage.record)
        known |= {f"{path.stage}.{name}" if path else name for name in own}
        names = path.among(own) if path else own.keys() & {metric}
        if len(names) > 1:
            raise StoreError(
                f"--best {metric}: stage {folder.key} has {' and '.join(told_apart(sorted(names)))} there: name one"
            )
        for name in names:
            replicate = stage.seed, stage.split_seed
            found.append(_Candidate(own[name].value, folder, records.setting(folder.key), replicate))
            origins.setdefault(_origin(stage.record), folder.key)
    if not found:
        raise StoreError(
            f"--best {metric}: no trained stage of {store.root} has this error: expected <score>.<quantity>, for "
            f"example test.cc.energy_mae, or result.test.cc.energy_mae as in a spec.{nearest(metric, known)}"
        )
    if len(origins) > 1:
        raise StoreError(
            f"--best {metric}: stages of {len(origins)} different data sets or splits have this error, for example "
            f"{' and '.join(list(origins.values())[:2])}, which cannot be compared: name one sweep with --spec"
        )
    return _of_best_setting(metric, found, of_test=path.part == "test" if path else metric.startswith("test"))


def _of_best_setting(metric: str, found: Sequence[_Candidate], *, of_test: bool) -> BestStage:
    """Return the stage that stands for the setting with the lowest mean over its replicates."""
    kept = _on_shared(metric, found)
    replicate = labels(one.replicate for one in kept)
    partitions = by_partition(replicate)
    settings: dict[str, dict[SplitSeed, list[_Candidate]]] = {}
    for one in kept:
        settings.setdefault(one.setting, {}).setdefault(replicate[one.replicate], []).append(one)
    means = {name: _mean(map(_mean_of, own.values())) for name, own in settings.items()}
    best = min(means, key=lambda name: means[name])
    own = [one for group in settings[best].values() for one in group]
    unit = _unit(metric)
    chosen = min(own, key=lambda one: abs(one.value - means[best]) if partitions else one.value)
    if len(kept) == len(settings) or (len(settings) == 1 and not partitions):
        said = f"the lowest {metric} ({chosen.value:.4g} {unit}) of {count(len(kept), 'stage')}"
    else:
        said = f"the lowest mean {metric} over {text(settings[best], partitions)} ({means[best]:.4g} {unit})"
        said += f" of {count(len(settings), 'setting')}; of its trainings the one"
        said += f" {'nearest to that mean' if partitions else 'with the lowest error'} ({chosen.value:.4g} {unit})"
    if left := len({one.setting for one in found}) - len(settings):
        said += f". Left out: {count(left, 'setting')} without all of these partitions"
    if of_test and (len(settings) > 1 or (len(own) > 1 and not partitions)):
        said += ". The test set chose it, so its error here is a little better than on new structures"
    return BestStage(chosen.folder, said)


def _on_shared(metric: str, found: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the stages of settings on partitions that all of these have: as many as leave no gap.

    Raises:
        StoreError: no two settings share a partition.
    """
    have: dict[str, set[SplitSeed]] = {}
    for one in found:
        have.setdefault(one.setting, set()).add(one.replicate[1])
    if len(have) > 1 and sum(map(len, have.values())) == len(set[SplitSeed]().union(*have.values())):
        raise StoreError(
            f"--best {metric}: no two of {len(have)} settings have this error on one partition, so that they cannot be "
            "compared: name one sweep with --spec, or train them on the same folds"
        )
    distinct = dict.fromkeys(map(frozenset, have.values()))
    tried = dict.fromkeys(one & other for one in distinct for other in distinct)
    shared = max(tried, key=lambda one: (len(one) * sum(one <= other for other in have.values()), len(one)))
    return [one for one in found if one.replicate[1] in shared and shared <= have[one.setting]]


def _mean_of(group: Collection[_Candidate]) -> float:
    return _mean(one.value for one in group)


def _mean(values: Iterable[float]) -> float:
    """Return the geometric mean; 0 where any is."""
    values = list(values)
    return math.exp(statistics.fmean(map(math.log, values))) if min(values) > 0 else 0.0


def _keys(metric: str, cells: Sequence[CellRecord], stage: str | None) -> set[str]:
    """Return the keys of some cells' stages: of all, or of the stage that a path names."""
    if stage is None:
        return {key for cell in cells for key in cell.stages.values()}
    names = {RESULT} | {name for cell in cells for name in cell.stages}
    if stage not in names:
        raise StoreError(
            f"--best {metric}: no cell has a stage {stage!r}: there are {', '.join(sorted(names))}."
            f"{nearest(stage, names)}"
        )
    named = [(cell, cell.result if stage == RESULT else stage) for cell in cells]
    return {cell.stages[name] for cell, name in named if name in cell.stages}


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
