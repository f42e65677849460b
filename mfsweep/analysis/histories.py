"""How validation errors fell with the steps of each training: what metrics.jsonl of a stage tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.analysis.table import AxisValue, scalar
from mfsweep.metrics_file import entries
from mfsweep.quantities import Quantity, metric_path
from mfsweep.records import CellRecord


class History(NamedTuple):
    """One stage's validation error of one method over its steps."""

    key: str
    values: Mapping[str, AxisValue]
    """Axis values of the stage, seeds left out."""
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    """Validation energy MAE, meV/atom, above 0."""
    selected: int
    """Step of the selected checkpoint."""
    converged: bool


def histories(records: Records, cells: Sequence[CellRecord]) -> dict[tuple[str, str], list[History]]:
    """Return (stage name, method) -> the trainings of that stage, in the order of the cells.

    A stage whose file is gone is left out.
    """
    found: dict[tuple[str, str], dict[str, History]] = {}
    for cell in cells:
        for name, key in cell.stages.items():
            stage = records.stage(key)
            if stage is None:
                continue
            values = {axis: scalar(cell.values[axis]) for axis in _axes(cell, name)}
            for method in dict.fromkeys(labelled["labels"] for labelled in stage.record.training["sets"]):
                of_method = found.setdefault((name, method), {})
                if key not in of_method and (told := _told(records, key, method)):
                    selected, converged = stage.record.selected.step, stage.record.converged()
                    of_method[key] = History(key, values, *told, selected, converged)
    return {place: list(own.values()) for place, own in found.items() if own}


def _axes(cell: CellRecord, name: str) -> list[str]:
    return [axis for axis in cell.axes.get(name, cell.values) if axis in cell.values and axis not in SEED_AXES]


def _told(records: Records, key: str, method: str) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
    path = metric_path("validation", method, Quantity.ENERGY_MAE)
    try:
        lines = list(entries(records.store.stage(key).metrics))
    except FileNotFoundError:
        return None
    points = {one.step: one.metrics[path] for one in lines if path in one.metrics}
    kept = [(step, error) for step, error in sorted(points.items()) if step > 0 and error > 0]
    return (tuple(step for step, _ in kept), tuple(error for _, error in kept)) if kept else None
