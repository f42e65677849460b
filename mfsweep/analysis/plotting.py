"""What figures are drawn on: the figure and the axes of matplotlib with the types that its own stubs leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import IO, Any, Literal, Protocol, TypedDict, Unpack

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.transforms import Transform
from numpy.typing import ArrayLike

Dashes = str | tuple[float, tuple[float, ...]]


class ArtistStyle(TypedDict, total=False):
    """How lines, bars and areas look; lengths in points."""

    color: str
    facecolor: str
    edgecolor: str
    alpha: float
    linewidth: float
    linestyle: Dashes
    marker: str
    markersize: float
    markerfacecolor: str
    markeredgewidth: float
    zorder: float
    label: str
    transform: Transform
    clip_on: bool


class PlotAxes(Protocol):
    """One panel."""

    @property
    def xaxis(self) -> Axis: ...
    @property
    def yaxis(self) -> Axis: ...
    @property
    def transAxes(self) -> Transform: ...

    def plot(self, *args: ArrayLike, **style: Unpack[ArtistStyle]) -> object: ...
    def step(
        self, x: ArrayLike, y: ArrayLike, *, where: Literal["pre", "post", "mid"], **style: Unpack[ArtistStyle]
    ) -> object: ...
    def stairs(
        self, values: ArrayLike, edges: ArrayLike, *, fill: bool = False, **style: Unpack[ArtistStyle]
    ) -> object: ...
    def bar(self, x: ArrayLike, height: ArrayLike, width: float, **style: Unpack[ArtistStyle]) -> object: ...
    def fill_between(self, x: ArrayLike, y1: ArrayLike, y2: ArrayLike, **style: Unpack[ArtistStyle]) -> object: ...
    def axhline(self, y: float, **style: Unpack[ArtistStyle]) -> object: ...
    def axvline(self, x: float, **style: Unpack[ArtistStyle]) -> object: ...

    def set(self, **properties: Any) -> object: ...
    def set_title(self, label: str, *, loc: Literal["left", "center", "right"]) -> object: ...
    def set_aspect(self, aspect: Literal["equal"], adjustable: Literal["box"]) -> object: ...
    def set_xlim(self, left: float, right: float) -> object: ...
    def set_ylim(self, bottom: float | None = None, top: float | None = None) -> object: ...
    def get_ylim(self) -> tuple[float, float]: ...
    def set_xticks(self, ticks: Sequence[float], labels: Sequence[str]) -> object: ...
    def tick_params(self, axis: Literal["both", "x", "y"], *, length: float) -> object: ...
    def legend(self, *, loc: str, bbox_to_anchor: tuple[float, float], ncols: int) -> object: ...
    def get_legend_handles_labels(self) -> tuple[list[Artist], list[str]]: ...


class PlotFigure(Protocol):
    """A figure of one panel or several."""

    def get_figwidth(self) -> float: ...
    def set_figheight(self, val: float) -> object: ...
    def suptitle(self, t: str, *, fontsize: float) -> object: ...
    def legend(
        self,
        handles: Sequence[Artist],
        labels: Sequence[str],
        *,
        loc: Literal["outside lower center"],
        ncols: int,
        title: str | None,
        title_fontsize: float,
    ) -> object: ...
    def savefig(
        self,
        fname: str | PathLike[str] | IO[str],
        *,
        facecolor: str,
        dpi: float = ...,
        format: str = ...,
        metadata: Mapping[str, str | None] = ...,
    ) -> object: ...
