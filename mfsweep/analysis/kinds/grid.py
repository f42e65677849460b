"""`grid`: error against the number of target labels, direct training in black."""

from __future__ import annotations

from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.figures import error_figure
from mfsweep.analysis.kinds.caption import BARS, HOLLOW, caption
from mfsweep.analysis.selection import select
from mfsweep.analysis.study import Analysis, ReportStudy, Result, result
from mfsweep.errors import FitError
from mfsweep.spec.figures import Grid


def grid(name: str, wanted: Grid, study: ReportStudy, analysis: Analysis) -> Picture:
    """Draw one metric of the result.

    Raises:
        FitError: no finished cell has it.
    """
    cells = select(study.cells, wanted.where)
    found = result(analysis.records, cells, wanted.y)
    if found is None:
        raise FitError(f"none of {len(cells)} cells has {wanted.y} of its result yet")
    return draw(name, wanted.title, study, found)


def draw(name: str, title: str, study: ReportStudy, found: Result) -> Picture:
    """Draw what is known of one metric of the result."""
    figure = error_figure(found.curves, found.path, found.path.method or "", found.offsets_only, study.palette)
    direct = "Direct training: circles." if any(curve.direct for curve in found.curves) else ""
    capped = HOLLOW if any(knot.capped for curve in found.curves for knot in curve.knots) else ""
    null = "Dotted: energy offsets alone, no model." if found.offsets_only is not None else ""
    main = f"Error against the number of {found.outcomes[0].method} labels, geometric mean over seeds; {BARS}."
    return Picture(name, caption(title, main, direct, null, capped), figure)
