"""A sample of the labels of a file, taken while they pass, on which they are judged (verdict.py).

Shapes: `n` structures of the sample, `Z` elements by atomic number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging import verdict
from mfsweep.data.judging.chunks import any_atom, take
from mfsweep.data.judging.measured import Evidence, evidence
from mfsweep.data.judging.mends import Mend, mend
from mfsweep.data.judging.reach import other_length, reach
from mfsweep.data.judging.slope import Slopes
from mfsweep.data.judging.zeros import all_zero
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import Units
from mfsweep.quantities import count

LIMIT = 10_000
"""Structures of a sample at most."""
LEAST = 10
"""Structures with a label that a judgement needs at least."""


class LabelFinding(NamedTuple):
    """Something that is wrong with the labels of a method, or may be."""

    method: str
    text: str
    """A sentence without its end: `the METHOD energies ...`."""
    refused: bool
    mend: Mend | None
    """How they would pass, where anything common helps."""


class _Rows(NamedTuple):
    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride] (tuple.index, never used)
    """(n,) structures by their order in the files."""
    counts: NDArray[np.int64]
    """(n, Z) atoms of each element."""
    energies: dict[str, NDArray[np.float64]]
    """Method -> (n,) eV."""
    squares: dict[str, NDArray[np.float64]]
    """Method -> (n,) sum of the squared components of the forces, (eV/angstrom)^2."""
    reach: NDArray[np.float64]
    """(n,) distance of nearest neighbours over that of a bond, NaN where it says nothing."""

    def every(self, stride: int) -> _Rows:
        keep = self.index % stride == 0
        return _Rows(
            self.index[keep],
            self.counts[keep],
            {method: energy[keep] for method, energy in self.energies.items()},
            {method: square[keep] for method, square in self.squares.items()},
            self.reach[keep],
        )


class StructureSample:
    """Every so-many-th structure, at most LIMIT of them however many pass."""

    def __init__(self) -> None:
        self._slopes = Slopes()
        self._seen = 0
        self._stride = 1
        self._kept: list[_Rows] = []
        self._zero: dict[str, tuple[int, int]] = {}

    def add(self, chunk: Chunk) -> None:
        """Take some of the structures that pass."""
        self._slopes.add(chunk)
        for method, forces in chunk.forces.items():
            zero, seen = self._zero.get(method, (0, 0))
            labelled = ~any_atom(chunk, np.isnan(forces))
            self._zero[method] = zero + int(all_zero(chunk, method).sum()), seen + int(labelled.sum())
        index = self._seen + np.arange(len(chunk.sizes))
        self._seen += len(index)
        while sum(len(rows.index) for rows in self._kept) + (index % self._stride == 0).sum() > LIMIT:
            self._stride *= 2
            self._kept = [rows.every(self._stride) for rows in self._kept]
        keep = index % self._stride == 0
        if keep.any():
            self._kept.append(_rows_of(index[keep], take(chunk, keep)))

    def findings(self, units: Mapping[str, Units], stated: Collection[str] = ()) -> Iterator[LabelFinding]:
        """Judge the energies and forces of each method.

        Args:
            units: label method -> the units that its labels were taken to be in.
            stated: methods of which the user said so, or of which it was judged before.

        Yields:
            What is refused comes before what is only warned of; of each method that is refused, one thing.
        """
        warnings: list[LabelFinding] = []
        for method in self._kept[0].energies if self._kept else {}:
            own = self._evidence(method)
            if own is not None:
                found = list(_judged(method, own, units[method], stated=method in stated))
                yield from (one for one in found if one.refused)
                warnings += [one for one in found if not one.refused]
        yield from warnings
        yield from self._zeros()
        yield from self._lengths(units)

    def _zeros(self) -> Iterator[LabelFinding]:
        for method, (zero, seen) in self._zero.items():
            if zero:
                text = (
                    f"the {method} forces of {zero:,} of {count(seen, 'structure')} are all exactly zero: right only "
                    "for structures at rest (perfect crystals, minima)"
                )
                yield LabelFinding(method, text, refused=False, mend=None)

    def _lengths(self, units: Mapping[str, Units]) -> Iterator[LabelFinding]:
        """Warn, once for all methods, of positions in another unit than they were read in."""
        known = np.concatenate([rows.reach for rows in self._kept]) if self._kept else np.empty(0)
        known = known[np.isfinite(known)]
        method, own = next(iter(units.items()), ("", None))
        text = other_length(known, own.positions if own else "Ang") if len(known) >= LEAST else None
        if text:
            yield LabelFinding(method, text, refused=False, mend=None)

    def _evidence(self, method: str) -> Evidence | None:
        """Return what is known of a method's labels, None where these are too few to judge."""
        energy = np.concatenate([rows.energies[method] for rows in self._kept])
        labelled = np.isfinite(energy)
        if labelled.sum() < LEAST:
            return None
        counts = np.concatenate([rows.counts for rows in self._kept])
        rms = None
        if method in self._kept[0].squares:
            square = np.concatenate([rows.squares[method] for rows in self._kept])
            forces = np.isfinite(square)
            if forces.sum() >= LEAST:
                rms = float(np.sqrt(square[forces].sum() / (3 * counts[forces].sum())))
        return evidence(energy[labelled], counts[labelled], rms, self._slopes.ratio(method))


def _judged(method: str, own: Evidence, units: Units, *, stated: bool) -> Iterator[LabelFinding]:
    found = list(verdict.refused(own, units))
    refused = [one for one in found if one.certain or not stated]
    for one in refused[:1]:
        yield LabelFinding(method, f"the {method} {one.text}", refused=True, mend=mend(own, units, one))
    if not refused:
        for one in found[:1] or verdict.notes(own.plain, units):
            yield LabelFinding(method, f"the {method} {one.text}", refused=False, mend=mend(own, units, one))


def _rows_of(index: NDArray[np.int64], chunk: Chunk) -> _Rows:
    row = np.repeat(np.arange(len(index)), chunk.sizes)
    width = len(SYMBOLS)
    counts = np.bincount(row * width + chunk.species, minlength=len(index) * width).reshape(-1, width)
    squares = {}
    for method, forces in chunk.forces.items():
        square = (forces.astype(np.float64) ** 2).sum(axis=1)
        squares[method] = np.bincount(row, square, len(index)).astype(np.float64)
    return _Rows(index, counts, dict(chunk.energies), squares, reach(chunk))
