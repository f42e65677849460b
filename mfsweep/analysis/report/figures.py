"""The figures and tables that the spec asks for."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis.drawn import Absent, Drawn, Picture, Sheet
from mfsweep.analysis.page.blocks import Block, Paragraph, Pictures, Table


def blocks(drawn: Sequence[Drawn]) -> list[Block]:
    """Return the section."""
    pictures = [one for one in drawn if isinstance(one, Picture)]
    found: list[Block] = [Pictures(pictures)] if pictures else []
    found += [Table(one.caption, one.head, one.rows, one.text) for one in drawn if isinstance(one, Sheet)]
    return [*found, *(Paragraph(f"{one.stem}: {one.reason}.") for one in drawn if isinstance(one, Absent))]
