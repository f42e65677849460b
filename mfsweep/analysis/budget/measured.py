"""The finished cells of a study as the error model takes them: way, sizes, error, replicate, and hours of training.

A way is told by content: cells whose stages differ in sizes and seeds alone are of one way, whatever axes are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.error_model import Floats
from mfsweep.analysis.gain import FinishedCell, outcomes
from mfsweep.analysis.labels_used import labels_used
from mfsweep.analysis.measured_cells import MeasuredCells, Way
from mfsweep.analysis.metric import absent
from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.replicates import by_partition, labels, text
from mfsweep.analysis.table import scalar
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath, count
from mfsweep.records import CellRecord

SIZES = ("size", "range")
"""What a labelled set is without for it to be of a way."""
DIRECT = "direct training"
SAME = 0.1
"""How far the shares of two auxiliary methods may lie apart within a way, in parts of the larger."""


@dataclass(frozen=True)
class MeasuredWays:
    """Cells that have converged, one a result; `N` of them."""

    path: MetricPath
    """The metric that their errors are."""
    cells: MeasuredCells
    target: str
    """Label method of the errors."""
    shares: Mapping[Way, Mapping[str, float]]
    """Way -> auxiliary method -> its share of n_pre."""
    hours: Floats
    """(N,) hours of a core, or of a GPU, that all stages of the cell took."""
    device: str
    """cpu | cuda."""
    replicates: str
    """How many and of what, in words."""
    left_out: Sequence[str] = ()
    """A sentence for each kind of cell that is left out."""
    keys: Sequence[str] = ()
    """(N,) stage keys of the results; none of cells that come from a table."""


class _Cell(NamedTuple):
    outcome: FinishedCell
    recipe: str
    """All that is not a size or a seed, in one text."""
    strategy: str
    methods: tuple[str, ...]
    numbers: Mapping[str, int]
    """Label method -> labels."""


def measured(records: Records, cells: Sequence[CellRecord], path: str) -> MeasuredWays:
    """Return the cells that have an error.

    Raises:
        FitError: no cell has it, none of them has converged or trains on labels of the error's method, or an error has
            no logarithm.
    """
    found = outcomes(records, cells, path)
    if not found:
        raise FitError(_nothing(records, cells, path))
    distinct = list({one.key: one for one in found}.values())
    kept = [one for one in distinct if one.converged]
    left_out: list[str] = []
    if len(kept) < len(distinct):
        capped = count(len(distinct) - len(kept), "cell")
        left_out.append(f"{capped} of {len(distinct)} left out: not converged (docs/fairness.md#rule-10).")
    if not kept:
        raise FitError(
            f"none of {count(len(distinct), 'cell')} has converged (docs/fairness.md#rule-10): nothing to go by"
        )
    known = _with_target([_cell(records, one) for one in kept], path)
    if len(known) < len(kept):
        zero = count(len(kept) - len(known), "cell")
        left_out.append(f"{zero} of {len(distinct)} left out: they train on no {kept[0].method} label.")
    if bad := [one.outcome for one in known if not one.outcome.error > 0]:
        raise FitError(
            f"{path}: stage {bad[0].key} has {bad[0].error:g}, which has no logarithm: expected a number above 0"
        )
    names = _names(known)
    of_way: dict[Way, list[_Cell]] = {}
    for one in known:
        of_way.setdefault(names[one.recipe], []).append(one)
    shares: dict[Way, dict[str, float]] = {}
    for way, own in list(of_way.items()):
        mix = _shares(own)
        if mix is None:
            left_out.append(f"{way}: left out, its auxiliary methods stand in several proportions.")
            del of_way[way]
        else:
            shares[way] = mix
    if not of_way:
        raise FitError(" ".join(left_out))
    return _measured(records, of_way, shares, left_out)


def _with_target(cells: Sequence[_Cell], path: str) -> list[_Cell]:
    """Return the cells that train on labels of the error's method: without any there is no n_ft."""
    found = [one for one in cells if one.numbers.get(one.outcome.method, 0)]
    if not found:
        raise FitError(
            f"no cell trains on {cells[0].outcome.method} labels, which {path} is an error of: how it follows their "
            "number is not to be told"
        )
    return found


def _nothing(records: Records, cells: Sequence[CellRecord], path: str) -> str:
    stages = [stage for cell in cells if (stage := records.stage(cell.stages[cell.result]))]
    if not stages:
        return f"none of {count(len(cells), 'cell')} is trained yet: `mfsweep run` trains them"
    return absent(MetricPath.parse(path), stages)


def _measured(
    records: Records,
    of_way: Mapping[Way, Sequence[_Cell]],
    shares: Mapping[Way, Mapping[str, float]],
    left_out: Sequence[str],
) -> MeasuredWays:
    ways = [way for way, own in of_way.items() for _ in own]
    used = [one for own in of_way.values() for one in own]
    target = used[0].outcome.method
    replicate = labels((one.outcome.seed, one.outcome.split_seed) for one in used)
    hours = [_hours(records, one.outcome.key) for one in used]
    return MeasuredWays(
        path=used[0].outcome.path,
        cells=MeasuredCells(
            n_pre=np.array([sum(one.numbers[method] for method in one.methods) for one in used], dtype=np.float64),
            n_ft=np.array([one.numbers[target] for one in used], dtype=np.float64),
            method=[way.method for way in ways],
            strategy=[way.strategy for way in ways],
            error=np.array([one.outcome.error for one in used]),
            replicate=[replicate[one.outcome.seed, one.outcome.split_seed] for one in used],
            pretraining=[_parent(records, one.outcome.key) for one in used],
        ),
        target=target,
        shares=shares,
        hours=np.array([spent for spent, _ in hours]),
        device=max((device for _, device in hours), key=[device for _, device in hours].count),
        replicates=text(replicate.values(), by_partition(replicate)),
        left_out=left_out,
        keys=[one.outcome.key for one in used],
    )


def _cell(records: Records, one: FinishedCell) -> _Cell:
    numbers = labels_used(one.cell)
    methods = tuple(method for method in sorted(numbers) if method != one.method)
    return _Cell(one, json.dumps(_recipe(records, one.key), sort_keys=True), _strategy(records, one), methods, numbers)


def _strategy(records: Records, one: FinishedCell) -> str:
    """Return the strategy of a cell in words."""
    if one.direct:
        return DIRECT
    stage = records.stage(one.key)
    assert stage is not None
    training = stage.record.training
    joint = len(training["sets"]) > 1
    if one.learned != (one.method,):
        return "delta-learning"
    if stage.record.parent is None:
        return "joint training" if joint else "fine-tuning of a given model"
    parent = records.stage(stage.record.parent)
    before = (
        "joint training, then fine-tuning" if parent and len(parent.record.training["sets"]) > 1 else "pre-training"
    )
    return f"{before}, then joint training" if joint else before


def _recipe(records: Records, key: str) -> dict[str, Any]:
    """Return what a stage and its ancestors are, sizes and seeds left out."""
    identity: dict[str, Any] = json.loads(records.setting(key))
    stage = records.stage(key)
    assert stage is not None
    identity["sets"] = [{name: value for name, value in own.items() if name not in SIZES} for own in identity["sets"]]
    if stage.record.parent is not None:
        identity["parent"] = _recipe(records, stage.record.parent)
    return identity


def _names(cells: Sequence[_Cell]) -> dict[str, Way]:
    """Return recipe -> its way; the axes that tell ways of one strategy and method apart are in its name."""
    plain: dict[Way, dict[str, list[_Cell]]] = {}
    for one in cells:
        way = Way(one.strategy, " and ".join(one.methods))
        plain.setdefault(way, {}).setdefault(one.recipe, []).append(one)
    names: dict[str, Way] = {}
    for way, recipes in plain.items():
        values = {recipe: _values(own) for recipe, own in recipes.items()}
        telling = [axis for axis in dict.fromkeys(a for own in values.values() for a in own) if _tells(axis, values)]
        for place, (recipe, own) in enumerate(values.items(), 1):
            told = ", ".join(f"{axis.replace('_', ' ')} {own[axis]}" for axis in telling if axis in own)
            name = f"{way.strategy} ({told or place})" if len(recipes) > 1 else way.strategy
            names[recipe] = Way(name if Way(name, way.method) not in names.values() else f"{name} {place}", way.method)
    return names


def _values(cells: Sequence[_Cell]) -> dict[str, Any]:
    """Return the axis values that all cells of a way share, seeds left out."""
    first = cells[0].outcome.cell.values
    return {
        axis: scalar(value)
        for axis, value in first.items()
        if axis not in SEED_AXES and all(one.outcome.cell.values.get(axis) == value for one in cells)
    }


def _tells(axis: str, values: Mapping[str, Mapping[str, Any]]) -> bool:
    return len({repr(own.get(axis)) for own in values.values()}) > 1


def _shares(cells: Sequence[_Cell]) -> dict[str, float] | None:
    """Return the share of each auxiliary method of n_pre; None where it is not the same for all cells."""
    methods = sorted({method for one in cells for method in one.methods})
    if len(methods) < 2:
        return dict.fromkeys(methods, 1.0)
    sizes = np.array([[one.numbers.get(method, 0) for method in methods] for one in cells], dtype=np.float64)
    parts = sizes / sizes.sum(axis=1, keepdims=True)
    if (np.ptp(parts, axis=0) > SAME * parts.max(axis=0)).any():
        return None
    return dict(zip(methods, parts.mean(axis=0).tolist(), strict=True))


def _parent(records: Records, key: str) -> str:
    """Return the stage whose error the result takes over: its parent, else itself."""
    stage = records.stage(key)
    return stage.record.parent or key if stage else key


def _hours(records: Records, key: str) -> tuple[float, str]:
    """Return what a result and its ancestors took, hours of a core or of a GPU, and on which."""
    spent, device = 0.0, "cpu"
    at: str | None = key
    while at is not None and (stage := records.stage(at)):
        record = stage.record
        machine = record.machines[0] if record.machines else None
        device = machine.device if machine else device
        each = machine.threads if machine and machine.device == "cpu" else 1
        spent += record.device_hours * each
        at = record.parent
    return spent, device
