"""What the commands print of a plan and of the records under it: tables on a console, plain rows for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.analysis import report
from mfsweep.analysis import study as studies
from mfsweep.analysis.drawn import Drawn
from mfsweep.analysis.figures import Residual
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.table import points_csv
from mfsweep.analysis.tables import claim_table, gain_table, law_table
from mfsweep.analysis.transfer import FitRequest
from mfsweep.cli import facts, residuals, searching
from mfsweep.cli.requirements import require_same_versions
from mfsweep.cli.unpaid import unpaid
from mfsweep.data.residuals import residual
from mfsweep.files import write_text
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.prepare.pruned import pruned_points, spared
from mfsweep.quantities import ABOVE_OFFSETS, beside_offsets
from mfsweep.store import SweepFolder

MEV = 1000.0


def status(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each stage: key, name, axis values, state, and once it is trained its end and its errors."""
    rows = []
    not_needed = spared(plan, pruned_points(plan))
    for key, node in plan.graph.nodes.items():
        folder = plan.store.stage(key)
        record = folder.record()
        failure = None if key in plan.done else folder.failure()
        pruning = None if record else folder.pruning()
        state = "trained" if record else "pruned" if pruning else "begun" if folder.path.exists() else "to do"
        state = "skipped" if state in ("begun", "to do") and key in not_needed else state
        state = "done" if key in plan.done else "failed" if failure else state
        row: dict[str, Any] = {"key": key, "stage": node.name, "values": node.values, "state": state}
        if pruning:
            row |= {"reason": pruning.reason, "log": str(folder.log)}
        if failure:
            row |= {"reason": failure, "log": str(folder.log)}
        if record:
            row |= {"steps": record.steps, "stop_reason": record.stop_reason, "metrics": record.metrics}
            row |= {"selected_step": record.selected.step, "head_reasons": record.head_reasons}
            made = {one.name: found for one in node.evaluations if (found := folder.evaluation(one.identity()))}
            row["evaluations"] = {name: one.metrics for name, one in made.items()}
            row["offsets_only"] = {name: one.offsets_only for name, one in made.items()}
        rows.append(row)
    return rows


def status_table(rows: Iterable[dict[str, Any]]) -> Table:
    """Return the rows of `status` as a table: errors in meV/atom, validation unless said otherwise."""
    table = Table(box=None, pad_edge=False, caption_justify="left")
    for column in ("key", "stage", "state", "steps", "energy MAE, meV/atom"):
        table.add_column(column, no_wrap=column != "stage")
    for row in rows:
        values = " ".join(f"{axis}={value}" for axis, value in row["values"].items())
        errors = [
            f"{path.removesuffix('.energy_mae')} {value:.1f}"
            for path, value in row.get("metrics", {}).items()
            if path.endswith(".energy_mae")
        ]
        for name, metrics in row.get("evaluations", {}).items():
            if (error := metrics.get("energy_mae")) is not None:
                null = row.get("offsets_only", {}).get(name, {}).get("energy_mae")
                errors.append(beside_offsets(f"{name} {error:.1f}", error, null))
        if any(error.endswith("!") for error in errors):
            table.caption = ABOVE_OFFSETS
        if "reason" in row:
            errors.append(escape(f"{row['reason'].strip().splitlines()[0]} ({row['log']})"))
        table.add_row(
            row["key"], f"{row['stage']} {values}", row["state"], str(row.get("steps", "")), ", ".join(errors)
        )
    return table


@dataclass(frozen=True)
class Shown:
    """A plan's analysis and the ways to show it."""

    plan: Plan
    study: studies.Study

    @cached_property
    def analysis(self) -> studies.Analysis:
        """Return the laws and gains on what the store has."""
        return studies.analyse(self.plan.store, self.study)

    @cached_property
    def drawn(self) -> list[Drawn]:
        """Return the figures, drawn once for their files and the report."""
        return gallery(self.study, self.analysis)

    @property
    def folder(self) -> SweepFolder:
        """Return where the sweep's own files lie."""
        return self.plan.store.sweep(self.plan.name)

    def rows(self) -> list[dict[str, Any]]:
        """Return the fits as JSON rows, and behind them what a search has found, a row a study."""
        rows = [row for law in self.analysis.laws for row in law.as_rows()]
        return rows + [{"search": study.name, **study.as_json()} for study in self.study.search]

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
        for one in self.analysis.mixed:
            console.print(one.sentence, style="yellow", soft_wrap=True, markup=False)

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


def analyse(plan: Plan) -> Shown:
    """Return what can be shown of a plan.

    Raises:
        StoreError: the spec requires one version of everything, and the stages have several.
    """
    require_same_versions(plan)
    experiment = plan.spec.experiment
    fits = [FitRequest(name, fit.x, fit.y, fit.group_by) for name, fit in experiment.fits.items()]
    cells = plan.cells()
    study = studies.Study(
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
        look=facts.look(plan),
    )
    return Shown(plan, study)


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
