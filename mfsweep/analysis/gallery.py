"""The pictures of a study, each drawn once, for the sweep's folder and the report alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from mfsweep.analysis import figures
from mfsweep.analysis.figures import Residual, error_figure, law_figure
from mfsweep.analysis.law import Law
from mfsweep.analysis.study import Result


@dataclass(frozen=True)
class Picture:
    """A figure with what is written under it."""

    stem: str
    """Names its files."""
    caption: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """Return the figure as SVG text."""
        return figures.svg(self.figure)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write `<stem>.svg` and `<stem>.png` into a folder and return their paths."""
        return figures.save(self.figure, folder, self.stem, self.svg)


def pictures(results: Iterable[Result], laws: Iterable[Law], residuals: Sequence[Residual] = ()) -> list[Picture]:
    """Return error against fine-tune size for each result, and each law that has points."""
    drawn = [_result(result) for result in results]
    for law in laws:
        if len(law.points):
            caption = f"Transfer law {law.name}: one line a group, and y = x where both axes have one unit."
            drawn.append(Picture(f"law.{law.name}", caption, law_figure(law, residuals)))
    return drawn


def _result(result: Result) -> Picture:
    path = result.path
    caption = "Error against fine-tune size. Direct training in black; bars: least and greatest replicate"
    null = "; dotted: energy offsets alone, no model." if result.offsets_only is not None else "."
    picture = error_figure(result.curves, path, path.method or "", result.offsets_only)
    return Picture(f"error.{path.part}.{path.method}.{path.quantity}", caption + null, picture)
