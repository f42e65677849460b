"""Which colour and marker a series has: told by the axis values that name it, the same in every figure of a study.

A label method has a hue. Where a series is named by a method and by something else (a size, a variant), it is of the
method's family, lighter or darker by the place of the other value in the study. Without a method, the values of one
axis run over a sequence of its own, so that two axes are not mistaken for one another. Of several such axes the one
with the most values has the colour, the others the dashes. Direct training and whatever is pooled are black.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mfsweep.analysis.colours import Oklch, family, to_hexadecimal
from mfsweep.analysis.plotting import Dashes
from mfsweep.analysis.records import SEED_AXES
from mfsweep.analysis.table import AxisValue, order, scalar
from mfsweep.records import CellRecord

INK = "#111111"
MUTED = "#767676"
HUES = {"cc": "#009e73", "dft": "#0072b2", "xtb": "#d55e00"}
"""The methods of the source study keep their colours; others take the next of the Okabe-Ito set."""
OTHER_HUES = ("#cc79a7", "#56b4e9", "#e69f00", "#7a5c99")
MARKERS = "s^Dvp*Xo"
DASHES: tuple[Dashes, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""Dashes for the values of a second axis that names a series."""
SEQUENCES = ((300.0, 130.0), (325.0, 445.0), (200.0, 330.0))
"""Hues, degrees, between which the values of the first numbered axis run, the second, and so on."""
FROM, TO = 0.42, 0.78
"""Lightness of the ends of a sequence."""


class Series(NamedTuple):
    """The look of one series."""

    colour: str
    marker: str
    dashes: Dashes = "-"


@dataclass(frozen=True)
class Palette:
    """The looks of a study's series."""

    methods: frozenset[str] = frozenset()
    """Its label methods."""
    values: Mapping[str, tuple[AxisValue, ...]] = field(default_factory=dict[str, tuple[AxisValue, ...]])
    """Axis -> its values in the study: numbers by size, then texts by name. Absent and zero are not among them: a
    series that has one of these in the place of a size or a variant is black, as direct training is."""

    def look(self, named: Mapping[str, AxisValue]) -> Series:
        """Return the look of the series with these values of the axes that name it."""
        methods = [value for value in named.values() if isinstance(value, str) and value in self.methods]
        others = {axis: value for axis, value in named.items() if value not in methods and len(self._of(axis)) > 1}
        # The axis with the most values has the colour, whatever else stands beside it.
        main = max(others, key=lambda axis: len(self._of(axis)), default="")
        if main and not others[main]:
            return Series(INK, "o")
        place, last = self._place({main: others.pop(main)}) if main else (0, 0)
        beside, _ = self._place(others)
        depth = place / last if last else 0.0
        dashes = DASHES[beside % len(DASHES)]
        if methods:
            hues = self.hues
            # Each method begins at a marker of its own: in grey print its hue does not tell it apart.
            marker = MARKERS[(place + beside + list(hues).index(methods[0])) % len(MARKERS)]
            hue = hues[methods[0]]
            return Series(family(hue, depth) if main else hue, marker, dashes)
        marker = MARKERS[(place + beside) % len(MARKERS)]
        if not main:
            return Series(HUES["dft"], marker, dashes)
        start, end = SEQUENCES[self._number(main) % len(SEQUENCES)]
        colour = Oklch(FROM + (TO - FROM) * depth, 0.14, start + (end - start) * depth)
        return Series(to_hexadecimal(colour), marker, dashes)

    def method(self, name: str) -> str:
        """Return the hue of a method, grey of one that the study does not have."""
        return self.hues.get(name, MUTED)

    @property
    def hues(self) -> dict[str, str]:
        """Return method -> hue."""
        others = sorted(self.methods - set(HUES))
        return HUES | {method: OTHER_HUES[index % len(OTHER_HUES)] for index, method in enumerate(others)}

    def _of(self, axis: str) -> tuple[AxisValue, ...]:
        return self.values.get(axis, ())

    def _number(self, axis: str) -> int:
        """Return the place of an axis among those whose values are no methods."""
        axes = [name for name, own in self.values.items() if not self.methods.issuperset(map(str, own))]
        return axes.index(axis) if axis in axes else 0

    def _place(self, others: Mapping[str, AxisValue]) -> tuple[int, int]:
        """Return the place of some values among all combinations of the axes', and the last place."""
        place, number = 0, 1
        for axis, value in others.items():
            own = self._of(axis)
            place = place * len(own) + (own.index(value) if value in own else 0)
            number *= len(own)
        return place, number - 1


def palette(cells: Sequence[CellRecord], methods: Collection[str]) -> Palette:
    """Return the palette of a study of some cells and label methods."""
    axes = dict.fromkeys(axis for cell in cells for axis in cell.values if axis not in SEED_AXES)
    found = {axis: _sorted(scalar(cell.values.get(axis)) for cell in cells) for axis in axes}
    return Palette(frozenset(methods), found)


def of_names(named: Iterable[Mapping[str, AxisValue]], methods: Collection[str] = ()) -> Palette:
    """Return the palette of some series alone, for a figure that stands by itself."""
    named = list(named)
    axes = dict.fromkeys(axis for one in named for axis in one)
    return Palette(frozenset(methods), {axis: _sorted(one.get(axis) for one in named) for axis in axes})


def _sorted(values: Iterable[AxisValue]) -> tuple[AxisValue, ...]:
    return tuple(sorted((value for value in set(values) if value), key=order))
