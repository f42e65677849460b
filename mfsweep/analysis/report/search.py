"""What a search of axes has found so far."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import Block, Heading, Items, Table
from mfsweep.analysis.search import MARKS, SearchedStudy
from mfsweep.analysis.study import Study


def blocks(study: Study) -> list[Block]:
    """Return the section; without a search nothing."""
    return [block for found in study.search for block in _searched(found)]


def _searched(found: SearchedStudy) -> list[Block]:
    caption, head, rows = found.table()
    marks = frozenset(place for place, name in enumerate(head) if name in MARKS)
    heading: list[Block] = [Heading(found.name)] if found.name else []
    return [*heading, Items(found.sentences()), Table(caption, head, rows, marks, fold="Every point")]
