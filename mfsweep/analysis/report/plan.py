"""What was planned and what has been trained, in numbers, and what the plan has to say."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import BulletList, LargeNumbers, PageBlock, Paragraph
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.quantities import count

CAPPED = (
    "Stages that max_steps stopped, and heads that were still improving at the end of theirs, have not converged, nor "
    "has what starts from them: drawn hollow, and no claim is made."
)


def blocks(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    """Return the section."""
    keys = {key for cell in study.cells for key in cell.stages.values()}
    trained = [stage.record for key in sorted(keys) if (stage := analysis.records.stage(key))]
    finished = sum(all(analysis.records.stage(key) for key in cell.stages.values()) for cell in study.cells)
    without_sharing = study.plan.get("stages_without_sharing", sum(len(cell.stages) for cell in study.cells))
    found: list[PageBlock] = [
        LargeNumbers(
            [
                (len(study.cells), "cells"),
                (finished, "cells finished"),
                (len(keys), "stages"),
                (without_sharing, "stages without sharing"),
                (len(trained), "stages trained"),
                (sum(record.stop_reason == "max_steps" for record in trained), "stopped by max_steps"),
                (sum(bool(record.improving) for record in trained), "stopped with a head still improving"),
            ]
        )
    ]
    if not all(record.converged() for record in trained):
        found.append(Paragraph(CAPPED))
    if study.warnings:
        found.append(BulletList(study.warnings))
    if finished < len(study.cells):
        left = count(len(study.cells) - finished, "cell")
        found.append(Paragraph(f"{left} not finished, left out of what follows."))
    return found
