"""The figures and tables that the spec asks for."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis.drawn import Absent, DrawnFigure, Picture, Sheet
from mfsweep.analysis.page.blocks import PageBlock, Paragraph, Pictures, SortableTable


def blocks(drawn: Sequence[DrawnFigure]) -> list[PageBlock]:
    """Return the section."""
    pictures = [one for one in drawn if isinstance(one, Picture)]
    found: list[PageBlock] = [Pictures(pictures)] if pictures else []
    found += [SortableTable(one.caption, one.head, one.rows, one.text) for one in drawn if isinstance(one, Sheet)]
    return [*found, *(Paragraph(f"{one.stem}: {one.reason}.") for one in drawn if isinstance(one, Absent))]
