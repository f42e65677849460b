"""`residuals`: how far auxiliary methods lie from the target, structure by structure, after energy offsets."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.ticker import MaxNLocator

from mfsweep.analysis import style
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.kinds.caption import caption
from mfsweep.analysis.palette import MUTED, palette
from mfsweep.analysis.study import Analysis, Differences, ReportStudy
from mfsweep.errors import FitError
from mfsweep.spec.figures import Residuals

BINS = 61
TAIL = 0.005
"""Share of the structures of all methods that lie beyond each end of the axis."""


def residuals(name: str, wanted: Residuals, study: ReportStudy, analysis: Analysis) -> Picture:  # noqa: ARG001 (a kind)
    """Draw a histogram for each method.

    Raises:
        FitError: the data's differences are not at hand.
    """
    found = study.differences.get(name)
    if found is None:
        raise FitError("the labels of the data file are not at hand")
    with style.styled():
        figure, axes = style.canvas(scales="linear-linear")
        colours = palette((), {*found.methods, *study.methods})
        edges = np.linspace(np.quantile(found.values, TAIL), np.quantile(found.values, 1 - TAIL), BINS)
        for place, (method, values) in enumerate(zip(found.methods, found.values, strict=True)):
            text = f"{found.target} − {method}: mean |·| {np.abs(values).mean():.3g}"
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, fill=True, color=colours.method(method), alpha=0.18)
            dashes = ("-", *style.DASHES)[place % 4]
            axes.stairs(shares, edges, color=colours.method(method), linestyle=dashes, linewidth=1.0, label=text)
        axes.axvline(0, color=MUTED, linewidth=0.6, zorder=0)
        axes.set(xlabel="difference after energy offsets (meV/atom)", ylabel="share of structures")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        style.legend(figure, axes, hollow=False)
    return Picture(name, caption(wanted.title, _said(found)), figure)


def _said(found: Differences) -> str:
    pairs = itertools.combinations(range(len(found.methods)), 2)
    correlated = [
        f"{found.methods[one]} and {found.methods[other]}: Pearson correlation {found.pearson[one, other]:.2f}."
        for one, other in pairs
    ]
    outside = f"The outermost {TAIL:.1%} on each side are not shown."
    return " ".join([f"{found.values.shape[1]:,} structures, no model.", *correlated, outside])
