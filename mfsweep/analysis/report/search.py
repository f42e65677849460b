"""What a search of axes has found so far."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import BulletList, Heading, PageBlock, SortableTable
from mfsweep.analysis.search import MARKS, SearchedStudy
from mfsweep.analysis.study import ReportStudy


def blocks(study: ReportStudy) -> list[PageBlock]:
    """Return the section; without a search nothing."""
    return [block for found in study.search for block in _searched(found)]


def _searched(found: SearchedStudy) -> list[PageBlock]:
    caption, head, rows = found.table()
    marks = frozenset(place for place, name in enumerate(head) if name in MARKS)
    heading: list[PageBlock] = [Heading(found.name)] if found.name else []
    return [*heading, BulletList(found.sentences()), SortableTable(caption, head, rows, marks, fold="Every point")]
