"""What the physics checks of the study's stages found, beside their test errors."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import Block, Table
from mfsweep.analysis.physics import PHYSICS_HEAD, TEXT, checked
from mfsweep.analysis.study import Analysis, Study


def blocks(study: Study, analysis: Analysis) -> list[Block]:
    """Return the section; nothing until `mfsweep validate` has looked at a stage."""
    rows = [one.row() for one in checked(analysis.records, study.cells)]
    said = "What `mfsweep validate` found: dynamics, relaxed geometries, frequencies and bond stretches"
    return [Table(said, PHYSICS_HEAD, rows, TEXT)] if rows else []
