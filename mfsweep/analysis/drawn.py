"""What a figure of a spec becomes: a picture, a table, or the reason why there is none yet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mfsweep.analysis import figures, style
from mfsweep.analysis.plotting import PlotFigure
from mfsweep.files import write_text
from mfsweep.report_records import FigureRecord


@dataclass(frozen=True)
class Picture:
    """A figure with what is written under it."""

    stem: str
    """Names its files."""
    caption: str
    figure: PlotFigure

    @cached_property
    def svg(self) -> str:
        """Return the figure as SVG text."""
        return figures.svg(self.figure)

    @property
    def wide(self) -> bool:
        """Return whether it takes two columns."""
        return self.figure.get_figwidth() > 1.5 * style.WIDTH

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write `<stem>.svg` and `<stem>.png` into a folder and return their paths."""
        return figures.save(self.figure, folder, self.stem, self.svg)

    def record(self) -> FigureRecord:
        """Return what an index of reports needs of it."""
        return FigureRecord(stem=self.stem, caption=self.caption, kind="picture")


@dataclass(frozen=True)
class Sheet:
    """A table with what is written over it."""

    stem: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[int] = field(default_factory=frozenset)
    """The columns that are no numbers."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write `<stem>.csv` into a folder and return its path."""
        made = io.StringIO()
        writer = csv.writer(made, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(self.rows)
        path = folder / f"{self.stem}.csv"
        write_text(path, made.getvalue())
        return (path,)

    def record(self) -> FigureRecord:
        """Return what an index of reports needs of it."""
        return FigureRecord(stem=self.stem, caption=self.caption, kind="table")


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be drawn of the records that there are."""

    stem: str
    reason: str


DrawnFigure = Picture | Sheet | Absent
