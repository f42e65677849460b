"""The cells of a sweep as a pandas table, one row a cell: what it was, what it measured, why it stopped.

Columns, where STAGE is the name of a stage in the spec, and `result` of the one that the cell is there for:

    sweep, result_stage      name of the sweep; name of the result's stage
    AXIS                     value of each axis; a list or mapping as JSON; None where the cell's block lacks it
    STAGE.size.METHOD        training structures
    STAGE.PART.METHOD.QUANTITY   a metric under its path (quantities.py), in the unit of its quantity
    STAGE.offsets_only.PART.METHOD.QUANTITY   the same of energy offsets alone
    STAGE.key, STAGE.steps, STAGE.stop_reason, STAGE.seconds, STAGE.parameters

A path is what a spec's `fits:` name. What is not trained yet, or vanished from a cell, is missing (NaN or None).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mfsweep.analysis.records import Records, TrainedStage
from mfsweep.analysis.table import scalar
from mfsweep.quantities import RESULT
from mfsweep.records import CellRecord
from mfsweep.store import StoreFolder

if TYPE_CHECKING:
    import pandas as pd

SWEEP = "sweep"
RESULT_STAGE = "result_stage"
KEY = "key"


def frame(store: StoreFolder, sweeps: Iterable[tuple[str, Sequence[CellRecord]]]) -> pd.DataFrame:
    """Return the cells of sweeps, in their order.

    Args:
        store: where the records lie.
        sweeps: name and cells of each.
    """
    import pandas as pd

    rows = [row for name, cells in sweeps for row in _rows(store, name, cells)]
    columns = dict.fromkeys(column for row in rows for column in row)
    ordered = sorted(columns, key=_place)
    return pd.DataFrame(rows, columns=pd.Index(ordered or [SWEEP, RESULT_STAGE], dtype=object))


def _rows(store: StoreFolder, name: str, cells: Sequence[CellRecord]) -> Iterator[dict[str, Any]]:
    records = Records(store, cells)
    for cell in cells:
        row: dict[str, Any] = {SWEEP: name, RESULT_STAGE: cell.result}
        row |= {axis: scalar(value) for axis, value in cell.values.items()}
        for stage, key in cell.stages.items():
            called = RESULT if stage == cell.result else stage
            sizes = {f"{called}.size.{method}": size for method, size in cell.sizes.get(stage, {}).items()}
            row |= sizes | {f"{called}.{KEY}": key} | _measured(called, records.stage(key))
        yield row


def _measured(called: str, stage: TrainedStage | None) -> dict[str, Any]:
    if stage is None:
        return {}
    record = stage.record
    ended = {name: getattr(record, name) for name in ("steps", "stop_reason", "seconds", "parameters")}
    return {
        **{f"{called}.{name}": value for name, value in ended.items()},
        **{f"{called}.{name}": value for name, value in stage.metrics.items()},
        **{f"{called}.offsets_only.{name}": value for name, value in stage.offsets_only.items()},
    }


def _place(column: str) -> int:
    """Return where a column stands: the sweep, the axes, sizes, errors, and last what is looked up now and then."""
    if column in (SWEEP, RESULT_STAGE):
        return 0
    _, dot, rest = column.partition(".")
    if not dot:
        return 1
    if rest.startswith("size."):
        return 2
    return 4 if rest.startswith("offsets_only.") or "." not in rest else 3
