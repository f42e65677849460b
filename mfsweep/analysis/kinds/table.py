"""`table`: errors by axes (rows) and metrics (columns)."""

from __future__ import annotations

import math

from mfsweep.analysis.drawn import Sheet
from mfsweep.analysis.figures import path_label
from mfsweep.analysis.kinds.caption import caption, unbalanced
from mfsweep.analysis.selection import Spread, averaged, grouped, measure, select, spread, text
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath
from mfsweep.spec.figures import Table


def table(name: str, wanted: Table, study: ReportStudy, analysis: Analysis) -> Sheet:
    """Return metrics as columns, a row for each combination of the axes' values.

    Raises:
        FitError: no finished cell has any of the metrics.
    """
    cells = select(study.cells, wanted.where)
    columns = [measure(analysis.records, cells, path) for path in wanted.columns]
    if not any(columns):
        raise FitError(f"none of {len(cells)} cells has {' or '.join(wanted.columns)} yet")
    every = [one for members in columns for one in members]
    by_row = [{values: spread(own) for values, own in grouped(members, wanted.rows).items()} for members in columns]
    rows = [
        (*map(text, values), *(_field(column.get(values)) for column in by_row))
        for values in grouped(every, wanted.rows)
    ]
    shown = [one for column in by_row for one in column.values()]
    capped = any(one.capped for one in shown)
    said = f"Geometric mean over {averaged(every, wanted.rows)}, ± standard error."
    head = [*(axis.replace("_", " ") for axis in wanted.rows), *map(_head, wanted.columns)]
    note = "*: a training was stopped by max_steps." if capped else ""
    return Sheet(
        name, caption(wanted.title, said, unbalanced(shown), note), head, rows, frozenset(range(len(wanted.rows)))
    )


def _head(path: str) -> str:
    metric = MetricPath.parse(path)
    return path_label(metric, metric.method)


def _field(one: Spread | None) -> str:
    if one is None:
        return ""
    error = "" if math.isnan(one.error) else f" ± {one.error:.2g}"
    return f"{one.value:.3g}{error}{'*' if one.capped else ''}"
