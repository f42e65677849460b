"""Axis values as the first columns of a table: every row says where in the grid it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mfsweep.analysis.selection import text
from mfsweep.analysis.table import scalar
from mfsweep.quantities import beside_offsets
from mfsweep.records import CellRecord


def axes_of(values: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the axes that some mappings of axis values have, in their order."""
    return list(dict.fromkeys(axis for one in values for axis in one))


def names(axes: Sequence[str]) -> list[str]:
    """Return axes as heads of columns."""
    return [axis.replace("_", " ") for axis in axes]


def fields(values: Mapping[str, Any], axes: Sequence[str]) -> list[str]:
    """Return axis values as fields, empty for an axis that is not there."""
    return [text(scalar(values[axis])) if axis in values else "" for axis in axes]


def stage_values(cells: Sequence[CellRecord]) -> dict[str, dict[str, Any]]:
    """Return stage key -> the axis values that all cells with the stage have in common, and that it depends on."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        for name, key in cell.stages.items():
            own = {axis: cell.values[axis] for axis in cell.axes.get(name, cell.values) if axis in cell.values}
            kept = found.setdefault(key, own)
            found[key] = {axis: value for axis, value in kept.items() if axis in own and own[axis] == value}
    return found


def optional(value: float | None) -> str:
    """Return a number as it is shown, empty where there is none."""
    return "" if value is None else f"{value:.3g}"


def marked(offsets_only: float | None, *errors: float) -> list[str]:
    """Return errors as they are shown, marked where energy offsets alone do better."""
    return [beside_offsets(f"{error:.3g}", error, offsets_only) for error in errors]
