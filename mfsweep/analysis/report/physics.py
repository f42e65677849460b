"""What the physics checks of the study's stages found, beside their test errors."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import PageBlock, SortableTable
from mfsweep.analysis.physics import PHYSICS_HEAD, TEXT, checked
from mfsweep.analysis.study import Analysis, ReportStudy


def blocks(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    """Return the section; nothing until `mfsweep validate` has looked at a stage."""
    rows = [one.row() for one in checked(analysis.records, study.cells)]
    said = "What `mfsweep validate` found: dynamics, relaxed geometries, frequencies and bond stretches"
    return [SortableTable(said, PHYSICS_HEAD, rows, TEXT)] if rows else []
