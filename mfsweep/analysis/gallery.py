"""The figures of a study, each drawn once, for the sweep's folder and the report alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mfsweep.analysis.drawn import Absent, DrawnFigure, Picture
from mfsweep.analysis.kinds import grid, law
from mfsweep.analysis.kinds.bars import bars
from mfsweep.analysis.kinds.curve import curve
from mfsweep.analysis.kinds.pareto import pareto
from mfsweep.analysis.kinds.residuals import residuals
from mfsweep.analysis.kinds.table import table
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.errors import FitError

KINDS: Mapping[str, Callable[[str, Any, ReportStudy, Analysis], DrawnFigure]] = {
    "grid": grid.grid,
    "curve": curve,
    "bars": bars,
    "law": law.law_picture,
    "pareto": pareto,
    "residuals": residuals,
    "table": table,
    "gradients": law.gradients,
}


def gallery(study: ReportStudy, analysis: Analysis) -> list[DrawnFigure]:
    """Return the figures that a spec asks for; of one that asks for none, its errors and its laws.

    A figure that the records do not carry (yet) is absent, with the reason: the others do not suffer for it.
    """
    if not study.figures:
        return list(_default(study, analysis))
    drawn: list[DrawnFigure] = []
    for name, wanted in study.figures.items():
        try:
            drawn.append(KINDS[wanted.kind](name, wanted, study, analysis))
        except FitError as error:
            drawn.append(Absent(name, str(error)))
    return drawn


def _default(study: ReportStudy, analysis: Analysis) -> Iterator[Picture]:
    for result in analysis.results:
        metric = str(result.path).partition(".")[2]
        yield grid.draw(f"error.{metric}", "", study, result)
    for found in analysis.laws:
        if len(found.points):
            yield law.draw(f"law.{found.name}", "", study, found)
