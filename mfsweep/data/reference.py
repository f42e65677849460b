"""Energy offsets (E0): one energy per element and label method, by least squares on element counts, in float64.

A model learns what is left after them. They are a property of a label method and a fixed set of structures
(docs/fairness.md#rule-5), never of a training. Shapes: `n` structures asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.errors import DataError

Indices = NDArray[np.int64]
TINY = 1e-8
"""Below which a number made of element counts is zero."""


def fit_offsets(structures: Structures, method: str, indices: Indices) -> dict[int, float]:
    """Fit the energy offsets of a method.

    Args:
        structures: where the labels are.
        method: label method.
        indices: (n,) structures to fit on, all of them with the method's energy.

    Returns:
        Atomic number -> energy offset, eV, for every element of these structures; where their counts do not determine
        the offsets (`freedom`), those of least length.

    Raises:
        DataError: a structure without the label, or no structures.
    """
    energy = structures.labels[method].energy[indices]
    if np.isnan(energy).any():
        first = int(indices[np.argmax(np.isnan(energy))])
        raise DataError(
            f"energy offsets of {method}: {int(np.isnan(energy).sum())} of {len(indices)} structures have no {method} "
            f"energy, the first is {structures.describe(first)}"
        )
    if not len(indices):
        raise DataError(f"energy offsets of {method}: there are no structures to fit them on")
    elements = structures.elements_of(indices)
    counts = structures.counts(indices, elements).astype(np.float64)
    # Of least length where the counts leave some open.
    solution = np.linalg.lstsq(counts, energy, rcond=None)[0]
    return dict(zip(elements, solution.tolist(), strict=True))


class Freedom(NamedTuple):
    """What element counts leave open of energy offsets."""

    elements: tuple[int, ...]
    """(Z,) atomic numbers."""
    directions: NDArray[np.float64]
    """(f, Z) changes of the offsets that change no energy; none where the counts determine them."""

    @property
    def shown(self) -> str:
        """Return the directions as messages name them: `H +1, O -2`."""
        return " and ".join(
            ", ".join(f"{SYMBOLS[z]} {change:+.4g}" for z, change in zip(self.elements, row, strict=True) if change)
            for row in self.directions.tolist()
        )

    def open(self, structures: Structures, indices: Indices) -> NDArray[np.bool_]:
        """Return whose offset energy depends on what was left open, (n,)."""
        counts = structures.counts(indices, self.elements).astype(np.float64)
        return np.asarray((np.abs(counts @ self.directions.T) > TINY).any(axis=1))


def freedom(structures: Structures, indices: Indices) -> Freedom:
    """Return what the element counts of some structures leave open of energy offsets.

    Args:
        structures: the source.
        indices: (n,) structures that offsets are fitted on.
    """
    elements = structures.elements_of(indices)
    counts = np.unique(structures.counts(indices, elements), axis=0).astype(np.float64)
    _, values, rows = np.linalg.svd(counts, full_matrices=True)
    rank = int((values > TINY * max(values[0], 1.0)).sum())
    found = rows[rank:]
    for place, row in enumerate(found):  # to whole numbers, where they are some: the echelon form
        pivot = int(np.argmax(np.abs(row) > TINY))
        found[place] = row / row[pivot]
        others = [other for other in range(len(found)) if other != place]
        found[others] -= np.outer(found[others][:, pivot], found[place])
    found[np.abs(found) < TINY] = 0.0
    return Freedom(elements, found)


def offset_energy(structures: Structures, indices: Indices, offsets: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the sum of energy offsets of each structure, (n,) eV.

    Raises:
        DataError: a structure has an element without an offset.
    """
    elements = structures.elements_of(indices)
    require_offsets(structures, indices, offsets)
    counts = structures.counts(indices, elements).astype(np.float64)
    return counts @ offset_table(offsets)[list(elements)]


def offset_table(offsets: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the energy offset by atomic number, (len(SYMBOLS),) eV; NaN where there is none."""
    table = np.full(len(SYMBOLS), np.nan)
    table[list(offsets)] = list(offsets.values())
    return table


def require_offsets(structures: Structures, indices: Indices, offsets: Mapping[int, float]) -> None:
    """Check that every element of some structures has an energy offset.

    Raises:
        DataError: one has none; the text names a structure with it.
    """
    for z in structures.elements_of(indices):
        if z not in offsets:
            first = int(indices[np.argmax(structures.counts(indices, [z])[:, 0] > 0)])
            raise DataError(
                f"no energy offset for {SYMBOLS[z]}, which {structures.describe(first)} contains: "
                f"the offsets were fitted on {', '.join(SYMBOLS[e] for e in sorted(offsets))} only"
            )
