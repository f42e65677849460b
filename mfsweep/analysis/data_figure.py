"""What is in a source of structures, in one figure: sizes, energies, and how far label methods are from one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mfsweep.analysis import style
from mfsweep.analysis.palette import MUTED, palette
from mfsweep.analysis.plotting import PlotAxes, PlotFigure
from mfsweep.errors import DataError
from mfsweep.files import write_file

SUFFIXES = (".png", ".svg", ".pdf")
SERIES = 8
"""Histograms in one panel at most."""


class Stairs(NamedTuple):
    """A histogram."""

    edges: NDArray[np.float64]
    """(n + 1,)."""
    density: NDArray[np.float64]
    """(n,) share per unit."""


class Drawing(NamedTuple):
    """What is drawn."""

    name: str
    """Name of the source."""
    sizes: Mapping[int, int]
    """Atoms -> structures."""
    energies: Mapping[str, Stairs]
    """Label method -> energy per atom after its offsets, meV."""
    differences: Mapping[tuple[str, str], tuple[Stairs, float]]
    """Two methods -> the first less the second after their offsets, and the mean absolute value, meV/atom."""


def require_suffix(path: Path) -> None:
    """Refuse a name of a figure that does not say its format.

    Raises:
        DataError: with those that there are.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"--figure: expected a file name in {', '.join(SUFFIXES)}, got {path.name!r}")


def draw(drawing: Drawing) -> PlotFigure:
    """Draw the panels that there is something for, side by side."""
    panels = [_sizes]
    panels += [_energies] if drawing.energies else []
    panels += [_differences] if drawing.differences else []
    with style.styled():
        figure, row = style.panels(len(panels))
        for panel, axes in zip(panels, row, strict=True):
            panel(axes, drawing)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=panel is _sizes))
            axes.yaxis.set_major_locator(MaxNLocator(5))
        figure.suptitle(drawing.name, fontsize=7)
    return figure


def save(figure: PlotFigure, path: Path) -> None:
    """Write the figure.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=300, facecolor="white"))
    except OSError as error:
        raise DataError(f"--figure: {path} cannot be written: {error.strerror or error}") from error


def _sizes(axes: PlotAxes, drawing: Drawing) -> None:
    sizes = np.arange(min(drawing.sizes), max(drawing.sizes) + 1)
    counts = [drawing.sizes.get(size, 0) for size in sizes.tolist()]
    axes.stairs(counts, np.append(sizes, sizes[-1] + 1) - 0.5, fill=True, color=MUTED, alpha=0.35)
    axes.stairs(counts, np.append(sizes, sizes[-1] + 1) - 0.5, color=MUTED)
    axes.set(xlabel="atoms", ylabel="structures")


def _energies(axes: PlotAxes, drawing: Drawing) -> None:
    colours = palette((), drawing.energies)
    for place, (method, own) in enumerate(list(drawing.energies.items())[:SERIES]):
        _stairs(axes, own, colours.method(method), place, method)
    axes.set(xlabel="energy per atom after its offsets (meV)", ylabel="share of structures per meV")
    _legend(axes)


def _differences(axes: PlotAxes, drawing: Drawing) -> None:
    colours = palette((), [" − ".join(pair) for pair in drawing.differences])
    for place, (pair, (own, mean_abs)) in enumerate(list(drawing.differences.items())[:SERIES]):
        name = " − ".join(pair)
        _stairs(axes, own, colours.method(name), place, f"{name}: mean |·| {mean_abs:.3g}")
    axes.axvline(0, color=MUTED, linewidth=0.6, zorder=0)
    axes.set(xlabel="difference after energy offsets (meV/atom)", ylabel="share of structures per meV/atom")
    _legend(axes)


def _stairs(axes: PlotAxes, own: Stairs, colour: str, place: int, text: str) -> None:
    axes.stairs(own.density, own.edges, fill=True, color=colour, alpha=0.18)
    dashes = ("-", *style.DASHES)[place % 4]
    axes.stairs(own.density, own.edges, color=colour, linestyle=dashes, linewidth=1.0, label=text)


def _legend(axes: PlotAxes) -> None:
    # Below the axes: histograms of this kind are tall in the middle and wide at the foot.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
