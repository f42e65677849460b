"""What came out of a sweep so far: laws, gains and claims, their tables, figures and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from mfsweep.analysis import report
from mfsweep.analysis import study as studies
from mfsweep.analysis.conclusion import conclusions
from mfsweep.analysis.drawn import DrawnFigure
from mfsweep.analysis.figures import Residual
from mfsweep.analysis.frame import frame
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.law import Law
from mfsweep.analysis.spent import ALL, Spent, spent_by_law, spent_in_all
from mfsweep.analysis.table import points_csv
from mfsweep.analysis.tables import claim_table, gain_table, law_table
from mfsweep.analysis.transfer import FitRequest
from mfsweep.data.residuals import residual
from mfsweep.files import write_text
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.report_records import ClaimRecord
from mfsweep.store import SweepFolder
from mfsweep.sweep import facts, residuals, searching
from mfsweep.sweep.budget import basis
from mfsweep.sweep.prices import rates_of
from mfsweep.sweep.requirements import require_same_versions
from mfsweep.sweep.unpaid import unpaid

if TYPE_CHECKING:
    import pandas as pd

MEV = 1000.0


@dataclass(frozen=True)
class Results:
    """What came out of a sweep so far, and the ways to show it."""

    plan: Plan
    study: studies.ReportStudy

    @cached_property
    def analysis(self) -> studies.Analysis:
        """Return the laws and gains on what the store has."""
        return studies.analyse(self.plan.store, self.study)

    @cached_property
    def drawn(self) -> list[DrawnFigure]:
        """Return the figures, drawn once for their files and the report."""
        return gallery(self.study, self.analysis)

    @property
    def laws(self) -> Sequence[Law]:
        """Return the laws of the spec's `fits`; one that the points cannot carry is there too, with the reason."""
        return self.analysis.laws

    @property
    def claims(self) -> Sequence[ClaimRecord]:
        """Return what came out for each statement of the spec."""
        return self.analysis.claims

    @property
    def folder(self) -> SweepFolder:
        """Return where the sweep's own files lie."""
        return self.plan.store.sweep(self.plan.name)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell (analysis/frame.py has the columns)."""
        return frame(self.plan.store, [(self.plan.name, self.study.cells)])

    def rows(self) -> list[dict[str, Any]]:
        """Return the fits as JSON rows; behind them what a search has found, a row a study, and what was spent."""
        rows = [row for law in self.analysis.laws for row in law.as_rows()]
        rows += [{"search": study.name, **study.as_json()} for study in self.study.search]
        return rows + [{"spent": what, **one.as_json()} for what, one in self.spent.items()]

    @cached_property
    def spent(self) -> dict[str, Spent]:
        """Return what all trained stages have cost, and what each law of the spec rests on."""
        records, rates = self.analysis.records, self.study.rates
        whole = spent_in_all(records, self.study.cells, rates)
        return {ALL: whole, **spent_by_law(records, self.analysis.laws, rates)}

    def print(self, console: Console) -> None:
        """Print a table for each law, with its verdict, and what pre-training changed."""
        for law in self.analysis.laws:
            console.print(law_table(law))
            for sentence in law.sentences(groups=False):
                console.print(sentence)
        for result in self.analysis.results:
            if result.gains:
                console.print(gain_table(result))
        searching.print_found(self.study.search, console)
        if self.analysis.claims:
            console.print(claim_table(self.analysis.claims))
        for what, one in self.spent.items():
            if one.stages:
                said = one.sentence("All stages" if what == ALL else f"What {what} rests on")
                console.print(f"{said}.", soft_wrap=True, markup=False, highlight=False)
        for one in self.analysis.mixed:
            console.print(one.sentence, style="yellow", soft_wrap=True, markup=False)

    @cached_property
    def conclusions(self) -> list[str]:
        """Return what the auxiliary labels did to each target error, and how a run until a condition has ended."""
        until = self.folder.until()
        ended = [f"--until {until.outcome}"] if until and until.outcome else []
        return [sentence for result in self.analysis.results for sentence in conclusions(result)] + ended

    def conclude(self, console: Console) -> None:
        """Print the conclusions."""
        for sentence in self.conclusions:
            console.print(sentence, style="bold", soft_wrap=True, markup=False)

    def write_points(self) -> None:
        """Write the points of every law as CSV, with the keys of their stages."""
        for law in self.analysis.laws:
            write_text(self.folder.points(law.name), points_csv(law.points))

    def write(self) -> list[Path]:
        """Write figures, claims and page; return their paths, the page's last."""
        return report.write(self.folder, self.study, self.analysis, self.drawn)

    def write_report(self, out: Path | None = None) -> Path:
        """Write figures, claims and page, into a folder in place of the sweep's own; return the page's path."""
        folder = self.folder if out is None else SweepFolder(out)
        return report.write(folder, self.study, self.analysis, self.drawn)[-1]


def analyse(plan: Plan) -> Results:
    """Return what can be shown of a plan.

    Raises:
        StoreError: the spec requires one version of everything, and the stages have several.
    """
    require_same_versions(plan)
    experiment = plan.spec.experiment
    fits = [FitRequest(name, fit.x, fit.y, fit.group_by) for name, fit in experiment.fits.items()]
    cells = plan.cells()
    study = studies.ReportStudy(
        name=plan.name,
        spec_text=plan.spec.document.text,
        cells=cells,
        fits=fits,
        plan=plan.summary(),
        warnings=plan.warnings,
        residuals=_residuals(plan),
        commands=[f"mfsweep run {plan.spec.document.path}"],
        figures=plan.figures,
        claims=experiment.claims,
        differences=residuals.differences(plan, asked) if (asked := residuals.asked(plan)) else {},
        unpaid=unpaid(plan),
        search=searching.found_by(plan),
        parts=facts.parts(plan),
        drawn=facts.drawn(experiment.data.splits),
        rates=rates_of(plan),
        look=facts.look(plan),
    )
    return Results(plan, replace(study, basis=basis(plan, study)))


def _residuals(plan: Plan) -> list[Residual]:
    """Return how far each of the file's methods is from the result's, offsets off, on the training part of `a`."""
    known = plan.spec.experiment.data.labels
    pairs: dict[tuple[str, str], Node] = {}
    for planned in plan.graph.cells:
        result = plan.graph.nodes[planned.keys[planned.cell.result]]
        targets = known.keys() & {evaluation.labels for evaluation in planned.cell.evaluations}
        methods = known.keys() & {m for node in plan.graph.lineage(result.key) for m in node.training.methods}
        for target in targets:
            for method in methods - targets:
                pairs.setdefault((method, target), result)
    found = []
    for (method, target), node in pairs.items():
        view = plan.view(node)
        members = view.partition.train.get("a", np.empty(0, np.int64))
        structures = view.structures
        members = members[
            structures.carries(method, forces=False)[members] & structures.carries(target, forces=False)[members]
        ]
        if len(members):
            offsets = view.offsets(method, node.training.sets), view.offsets(target, node.training.sets)
            difference = residual(structures, members, method, target, *offsets)
            found.append(Residual(method, target, MEV * float(np.abs(difference).mean())))
    return found
