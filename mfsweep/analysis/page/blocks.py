"""What a page is made of: sections of texts, lists, tables and pictures, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from mfsweep.analysis.drawn import Picture

OPEN_ROWS = 40
"""A longer table is folded away."""


@dataclass(frozen=True)
class LargeNumbers:
    """Numbers with their names, large."""

    kind: ClassVar[str] = "counts"
    numbers: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class BulletList:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class SortableTable:
    """A table that a reader can sort by any of its columns."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[int] = frozenset()
    """The columns that are no numbers: they stand left, and are sorted as text."""
    bold: frozenset[str] = frozenset()
    """First fields of the rows that sum the others up."""
    fold: str = ""
    """Summary that opens the table. Without one it is always open."""

    @property
    def is_open(self) -> bool:
        """Return whether it shows from the start."""
        return len(self.rows) <= OPEN_ROWS


@dataclass(frozen=True)
class Pictures:
    """Figures side by side, as many as fit."""

    kind: ClassVar[str] = "pictures"
    pictures: Sequence[Picture]


PageBlock = LargeNumbers | Heading | Paragraph | BulletList | Code | SortableTable | Pictures


@dataclass(frozen=True)
class Section:
    """A part of a page; one without blocks is left out."""

    title: str
    blocks: Sequence[PageBlock] = field(default_factory=tuple)
