"""What was trained and tested on: structures, formulae, sizes, elements and labels of every part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import AutoMinorLocator, MaxNLocator

from mfsweep.analysis import style
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.facts import SubsetPart
from mfsweep.analysis.page.blocks import PageBlock, Paragraph, Pictures, SortableTable
from mfsweep.analysis.palette import of_names
from mfsweep.analysis.plotting import PlotFigure
from mfsweep.analysis.study import ReportStudy


def blocks(study: ReportStudy) -> list[PageBlock]:
    """Return the section; nothing where the data are not at hand."""
    if not study.parts:
        return []
    parts = study.parts
    said = f"{study.drawn} Where a spec has several partitions, these are the parts of the first.".strip()
    pictures = [
        Picture("data.sizes", "Share of a part's structures by number of atoms.", _sizes(parts)),
        Picture("data.elements", "Share of a part's atoms by element.", _elements(parts)),
    ]
    return [Paragraph(said), _table(parts), Pictures(pictures)]


def _table(parts: Sequence[SubsetPart]) -> SortableTable:
    elements = _in_order(parts)
    methods = list(dict.fromkeys(method for part in parts for method in part.labels))
    head = ["part", "structures", "formulae", "least atoms", "mean atoms", "most atoms"]
    head += [f"{element}, % of atoms" for element in elements] + [f"{method} labels" for method in methods]
    rows = [
        (
            part.name,
            f"{part.structures:,}",
            f"{part.formulae:,}",
            str(min(part.sizes)),
            f"{sum(size * number for size, number in part.sizes.items()) / part.structures:.1f}",
            str(max(part.sizes)),
            *(f"{_share(part, element):.1%}".rstrip("%") for element in elements),
            *(f"{part.labels.get(method, 0):,}" for method in methods),
        )
        for part in parts
    ]
    return SortableTable("Structures of each part", head, rows, frozenset({0}))


def _sizes(parts: Sequence[SubsetPart]) -> PlotFigure:
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        first = min(min(part.sizes) for part in parts)
        last = max(max(part.sizes) for part in parts)
        sizes = np.arange(first, last + 1)
        for place, (part, colour) in enumerate(zip(parts, _colours(parts), strict=True)):
            shares = [part.sizes.get(size, 0) / part.structures for size in sizes.tolist()]
            dashes = ("-", *style.DASHES)[place % 4]
            edges = np.append(sizes, last + 1) - 0.5
            axes.stairs(shares, edges, color=colour, linestyle=dashes, linewidth=1.1, label=part.name)
        axes.set(xlabel="atoms", ylabel="share of structures")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_minor_locator(AutoMinorLocator())
        style.legend(figure, axes, hollow=False)
    return figure


def _elements(parts: Sequence[SubsetPart]) -> PlotFigure:
    elements = _in_order(parts)
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        width = 0.8 / len(parts)
        for place, (part, colour) in enumerate(zip(parts, _colours(parts), strict=True)):
            at = np.arange(len(elements)) + (place - (len(parts) - 1) / 2) * width
            shares = [100 * _share(part, element) for element in elements]
            axes.bar(at, shares, 0.92 * width, facecolor=colour, label=part.name)
        axes.set_xticks(range(len(elements)), elements)
        axes.tick_params(axis="x", length=0)
        axes.set(xlabel="element", ylabel="share of atoms (%)")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_minor_locator(AutoMinorLocator())
        style.legend(figure, axes, hollow=False)
    return figure


def _colours(parts: Sequence[SubsetPart]) -> list[str]:
    names = [{"part": f"{place}"} for place in range(1, len(parts) + 1)]
    palette = of_names(names)
    return [palette.look(name).colour for name in names]


def _in_order(parts: Sequence[SubsetPart]) -> list[str]:
    """Return the elements, the most frequent first."""
    totals: dict[str, int] = {}
    for part in parts:
        for element, number in part.elements.items():
            totals[element] = totals.get(element, 0) + number
    return sorted(totals, key=lambda element: (-totals[element], element))


def _share(part: SubsetPart, element: str) -> float:
    return part.elements.get(element, 0) / sum(part.elements.values())
