"""`law`: points, a line a group with its 95 % band; `gradients`: the same lines as rows of a table."""

from __future__ import annotations

from mfsweep.analysis.drawn import Picture, Sheet
from mfsweep.analysis.figures import law_figure
from mfsweep.analysis.interval import span
from mfsweep.analysis.kinds.caption import HOLLOW, caption
from mfsweep.analysis.law import Law
from mfsweep.analysis.selection import select, text
from mfsweep.analysis.study import Analysis, ReportStudy, law
from mfsweep.analysis.table import scalar
from mfsweep.errors import FitError
from mfsweep.spec.figures import Cells, Gradients, LawFigure

GRADIENTS = ("law", "group", "gradient", "95 % interval", "prefactor", "points", "pre-trainings", "capped", "verdict")


def law_of_cells(study: ReportStudy, analysis: Analysis, fit: str, where: Cells) -> Law:
    """Return a law of a study, made again where only some cells are meant.

    Raises:
        FitError: a path that none of those cells has.
    """
    if not where:
        return next(one for one in analysis.laws if one.name == fit)
    request = next(one for one in study.fits if one.name == fit)
    return law(analysis.records, select(study.cells, where), request)


def law_picture(name: str, wanted: LawFigure, study: ReportStudy, analysis: Analysis) -> Picture:
    """Draw a transfer law.

    Raises:
        FitError: it has no points.
    """
    return draw(name, wanted.title, study, law_of_cells(study, analysis, wanted.fit, wanted.where))


def draw(name: str, title: str, study: ReportStudy, found: Law) -> Picture:
    """Draw a law that has points."""
    if not len(found.points):
        raise FitError(found.refusal or "no points")
    main = f"Transfer law {found.name}: a line for each group, shaded its 95 % band; y = x where both have one unit."
    capped = HOLLOW if any(not point.converged for point in found.points) else ""
    return Picture(name, caption(title, main, capped), law_figure(found, study.residuals, study.palette))


def gradients(name: str, wanted: Gradients, study: ReportStudy, analysis: Analysis) -> Sheet:
    """Return the gradients of some laws, one row a group and the pooled one.

    Raises:
        FitError: a path that none of the cells has.
    """
    rows: list[tuple[str, ...]] = []
    for fit in wanted.fits:
        for row in law_of_cells(study, analysis, fit, wanted.where).as_rows():
            group = ", ".join(text(scalar(value)) for value in row["values"].values()) or row["group"]
            if row["gradient"] is None:
                rows.append((fit, group, *[""] * 3, str(row["n"]), "", "", row["reason"]))
                continue
            interval = span(row["ci_low"], row["ci_high"])
            counts = [str(row[count]) for count in ("n", "clusters", "capped")]
            rows.append(
                (fit, group, f"{row['gradient']:.2f}", interval, f"{row['prefactor']:.3g}", *counts, row["verdict"])
            )
    said = "Gradients of the laws on logarithms, errors of x allowed for where pre-training sizes do that."
    return Sheet(name, caption(wanted.title, said), GRADIENTS, rows, frozenset({0, 1, 8}))
