"""Points of a law from a table of anyone's: a CSV file with a column x, a column y, and what is known of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mfsweep.analysis.table import AxisValue, Point, Points, group_label
from mfsweep.errors import FitError, nearest

NUMBERS = ("x", "y")
"""Columns that must be there, numbers above 0."""
OPTIONAL = ("group", "replicate", "size", "pretraining")
"""`group`: points with a line of their own. `replicate`: points that share a partition or a seed. `size`: pre-training
structures, which allow for errors of x. `pretraining`: points that share their x and its error; else those of equal x
in one replicate."""


def read_points(path: Path) -> Points:
    """Return the points of a CSV file whose first line names the columns.

    Raises:
        FitError: no such file, a column that is missing or not known, a field that is not a number above 0.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            _check_columns(path, names)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FitError(f"{path}: not a CSV file that can be read: {error}") from None
    if not rows:
        raise FitError(f"{path}: no line after the one with the columns' names")
    return points_of(names, [(f"{path}, line {line}", row) for line, row in rows])


def points_of(names: Collection[str], rows: Sequence[tuple[str, Mapping[str, str | None]]]) -> Points:
    """Return the points of some rows.

    Args:
        names: the columns that there are.
        rows: where each stands, as an error names it, and its fields.

    Raises:
        FitError: a field that is not a number above 0.
    """
    replicates = {name: place for place, name in enumerate(dict.fromkeys(_text(row, "replicate") for _, row in rows))}
    grouped = ("group",) if "group" in names else ()
    points = [_point(place, row, replicates, grouped) for place, row in rows]
    points.sort(key=lambda point: point.x)
    groups = dict.fromkeys(tuple(_text(row, name) for name in grouped) for _, row in rows)
    labels: dict[tuple[AxisValue, ...], str] = {group: group_label(grouped, group) for group in groups}
    return Points("x", "y", grouped, tuple(points), labels=labels)


def _check_columns(path: Path, names: list[str]) -> None:
    known = (*NUMBERS, *OPTIONAL)
    for name in NUMBERS:
        if name not in names:
            raise FitError(f"{path}: no column {name!r}; there are {', '.join(names) or 'none'}.{nearest(name, names)}")
    for name in names:
        if name not in known:
            raise FitError(f"{path}: column {name!r}, expected one of {', '.join(known)}.{nearest(name, known)}")
    if len(set(names)) < len(names):
        raise FitError(f"{path}: a column's name stands twice in {', '.join(names)}")


def _point(place: str, row: Mapping[str, str | None], replicates: Mapping[str, int], grouped: tuple[str, ...]) -> Point:
    x, y = (_number(place, name, row) for name in NUMBERS)
    size = _number(place, "size", row) if "size" in row else 0.0
    replicate, pretraining = _text(row, "replicate"), _text(row, "pretraining")
    key = pretraining or f"{replicate}/{x!r}"
    return Point(
        values={name: _text(row, name) for name in OPTIONAL if name in row},
        group=tuple(_text(row, name) for name in grouped),
        x=x,
        y=y,
        x_key=key,
        y_key=place,
        x_method=None,
        y_method=None,
        x_setting=f"{size!r}" if size else f"{x!r}",
        y_setting=place,
        seed=0,
        split_seed=replicates[replicate],
        x_step=0,
        y_step=0,
        x_converged=True,
        y_converged=True,
        sizes={},
        x_size=size,
    )


def _number(place: str, name: str, row: Mapping[str, str | None]) -> float:
    got = _text(row, name)
    try:
        value = float(got)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise FitError(f"{place}, column {name}: expected a number above 0, got {got!r}")
    return value


def _text(row: Mapping[str, str | None], name: str) -> str:
    return (row.get(name) or "").strip()
