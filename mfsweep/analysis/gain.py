"""The change of the target error by pre-training (or joint training) against direct training, paired by seed.

Direct training is the cell whose result starts from fresh weights, not from a stage or a model file, and trains on the
target's labels alone, not as a difference (delta-learning). It is found by content, not by axis names: the pair of a
cell has the same target sets, seed, split seed and data.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.interval import Interval
from mfsweep.analysis.metric import StageMetric, find
from mfsweep.analysis.records import SEED_AXES, Records, TrainedStage
from mfsweep.analysis.reml import mean_of
from mfsweep.analysis.replicates import by_partition, label, text
from mfsweep.analysis.table import as_records, scalar
from mfsweep.quantities import RESULT, MetricPath, Quantity
from mfsweep.records import CellRecord
from mfsweep.store import StoreFolder


@dataclass(frozen=True, slots=True)
class FinishedCell:
    """The result of one finished cell."""

    cell: CellRecord
    key: str
    """Stage key of the result."""
    error: float
    """In the unit of the path's quantity."""
    path: MetricPath
    """Path of the error, with what its method and subset are."""
    method: str
    """Target label method."""
    learned: tuple[str, ...]
    """The names under which the result trains on the target's labels: its own or, without it, differences to others."""
    target: str
    """Target sets, data and model in one text: equal for cells that may be compared."""
    direct: bool
    seed: int
    split_seed: SplitSeed
    converged: bool
    """The head behind it, and all that the result starts from."""
    offsets_only: float | None
    within_formula: float | None
    """The null model's error, and the within-formula energy error, where they were measured."""

    @property
    def setting(self) -> dict[str, Any]:
        """Return the axis values that replicates share."""
        return {axis: value for axis, value in self.cell.values.items() if axis not in SEED_AXES}


@dataclass(frozen=True, slots=True)
class Gain:
    """The change of one setting's error against direct training."""

    values: Mapping[str, Any]
    """Axis values, seeds left out."""
    error: float
    direct_error: float
    """Geometric means over the replicates, the pairs of each averaged."""
    change: float
    """exp(mean log ratio) - 1; -0.5 halves the error."""
    interval: Interval | None
    """95 %, of the change; None with one replicate."""
    pairs: int
    over: str
    """Over what the interval is, or why there is none."""
    capped: int
    """Pairs of which a side has not converged."""

    @property
    def sentence(self) -> str:
        """Return the change in words."""
        said = f"{self.change:+.0%}"
        if self.interval:
            said += f", 95 % interval {self.interval.low:+.0%} to {self.interval.high:+.0%}"
        return f"{said} ({self.over})" + (
            f"; {self.capped} of {self.pairs} pairs capped, no claim" if self.capped else ""
        )

    def as_row(self) -> dict[str, Any]:
        """Return a plain row."""
        low, high = self.interval or (None, None)
        return {
            "values": dict(self.values),
            "change": self.change,
            "ci_low": low,
            "ci_high": high,
            "pairs": self.pairs,
            "error": self.error,
            "direct_error": self.direct_error,
            "capped": self.capped,
            "over": self.over,
        }


def outcomes(store: StoreFolder | Records, cells: Sequence[CellRecord], y: str) -> list[FinishedCell]:
    """Return the results of the cells that are finished, for the metric path `y` of the result stage."""
    records = as_records(store, cells)
    path = MetricPath.parse(y)._replace(stage=RESULT)
    made: list[FinishedCell] = []
    for cell in cells:
        key = cell.stages.get(cell.result)
        stage = records.stage(key) if key else None
        found = find(stage, path) if stage else None
        if key is None or stage is None or found is None or found.method is None:
            continue
        made.append(_outcome(records, cell, stage, found))
    return made


def gains(results: Sequence[FinishedCell]) -> list[Gain]:
    """Return the change of every setting that has direct cells to compare with, in the cells' order.

    The interval is Student's over the replicates (replicates.py), the log ratios of a replicate's pairs averaged.
    """
    partitions = by_partition((one.seed, one.split_seed) for one in results)
    pairs: dict[str, list[tuple[FinishedCell, FinishedCell]]] = {}
    for one, other in paired(results):
        if min(one.error, other.error) > 0:
            pairs.setdefault(setting_text(one), []).append((one, other))
    return [gain_of(found, partitions) for found in pairs.values()]


def paired(results: Sequence[FinishedCell]) -> list[tuple[FinishedCell, FinishedCell]]:
    """Return each cell that is not direct training with the direct one that it is compared with, where there is one.

    Of several direct cells (a recipe is an axis too) it is the one that shares most axis values.
    """
    direct: dict[tuple[str, int, SplitSeed], list[FinishedCell]] = {}
    for one in results:
        if one.direct:
            direct.setdefault((one.target, one.seed, one.split_seed), []).append(one)

    def alike(one: FinishedCell, other: FinishedCell) -> int:
        return sum(other.cell.values.get(axis) == value for axis, value in one.cell.values.items())

    pairs: list[tuple[FinishedCell, FinishedCell]] = []
    for one in results:
        candidates = direct.get((one.target, one.seed, one.split_seed), [])
        if candidates and not one.direct:
            pairs.append((one, max(candidates, key=lambda other: alike(one, other))))
    return pairs


def gain_of(pairs: Sequence[tuple[FinishedCell, FinishedCell]], partitions: bool) -> Gain:
    """Return the change over pairs of a cell and its direct one, the log ratios of a replicate averaged.

    Within a replicate each setting counts once, however many seeds it has.

    Args:
        pairs: at least one, with errors above 0; the values are those of the first.
        partitions: whether replicates are partitions (replicates.py).
    """
    of_replicate: dict[SplitSeed, dict[str, list[tuple[float, float]]]] = {}
    for one, other in pairs:
        found = of_replicate.setdefault(label((one.seed, one.split_seed), partitions), {})
        logs = math.log(one.error), math.log(other.error)
        found.setdefault(setting_text(one), []).append(logs)
    sides = [_mean([_mean(seeds) for seeds in own.values()]) for own in of_replicate.values()]
    ratio = mean_of([error - direct for error, direct in sides])
    error, direct = map(math.exp, _mean(sides))
    number = len(of_replicate)
    interval = None
    if number > 1:
        interval = Interval(*map(math.expm1, ratio.interval()))
    first = pairs[0][0]
    return Gain(
        values=first.setting,
        error=error,
        direct_error=direct,
        change=math.expm1(ratio.value),
        interval=interval,
        pairs=len(pairs),
        over=f"over {text(of_replicate, partitions)}" if number > 1 else "one replicate: no interval",
        capped=sum(not (one.converged and other.converged) for one, other in pairs),
    )


def setting_text(one: FinishedCell) -> str:
    """Return the setting of a cell as a text, equal for its replicates."""
    return json.dumps({axis: scalar(value) for axis, value in one.setting.items()}, sort_keys=True)


def _mean(sides: Sequence[tuple[float, float]]) -> tuple[float, float]:
    ours, direct = zip(*sides, strict=True)
    return statistics.fmean(ours), statistics.fmean(direct)


def _outcome(records: Records, cell: CellRecord, stage: TrainedStage, found: StageMetric) -> FinishedCell:
    training = stage.record.training
    path = MetricPath.parse(f"{RESULT}.{found.key}")
    method = (path.method or "").split("@")[0]
    learned = _learned(cell, training, method)
    sets = [labelled for labelled in training["sets"] if labelled["labels"] in learned]
    target: dict[str, Any] = {
        "sets": [_labels_used(labelled, method) for labelled in sets],
        "digest": training["data"]["digest"],
        "model": training["model"],
    }
    return FinishedCell(
        cell=cell,
        key=stage.record.key,
        error=found.value,
        path=path,
        method=method,
        learned=learned,
        target=json.dumps(target, sort_keys=True),
        direct=stage.record.parent is None
        and not training.get("file")
        and all(labelled["labels"] == method for labelled in training["sets"]),
        seed=stage.seed,
        split_seed=stage.split_seed,
        converged=records.converged(stage.record.key, found.name),
        offsets_only=stage.offsets_only.get(found.key),
        within_formula=stage.metrics.get(f"{found.name}.{Quantity.ENERGY_MAE_WITHIN_FORMULA}"),
    )


def _learned(cell: CellRecord, training: Mapping[str, Any], method: str) -> tuple[str, ...]:
    """Return the names under which a result trains on a method's labels: its own, else differences of it to others."""
    if any(labelled["labels"] == method for labelled in training["sets"]):
        return (method,)
    # A difference is of two methods, its target first; of one alone are shuffled labels, a negative control.
    own = cell.sets.get(cell.result, ())
    return tuple(dict.fromkeys(one.labels for one in own if len(one.methods) > 1 and one.methods[0] == method))


def _labels_used(labelled: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return which of the target's labels a set holds: how they are learned does not keep cells from comparison."""
    return {name: value for name, value in labelled.items() if name not in ("probability", "head")} | {"labels": method}
