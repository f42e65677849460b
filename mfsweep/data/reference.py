"""Energy offsets (E0): one energy per element and label method, by least squares on element counts, in float64.

A model learns what is left after them. They are a property of a label method and a fixed set of structures (README
rule 5), never of a training. Shapes: `n` structures asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.errors import DataError

Indices = NDArray[np.int64]


def fit_offsets(structures: Structures, method: str, indices: Indices) -> dict[int, float]:
    """Fit the energy offsets of a method.

    Args:
        structures: where the labels are.
        method: label method.
        indices: (n,) structures to fit on, all of them with the method's energy.

    Returns:
        Atomic number -> energy offset, eV, for every element of these structures.

    Raises:
        DataError: a structure without the label, or element counts that do not determine the offsets.
    """
    energy = structures.labels[method].energy[indices]
    if np.isnan(energy).any():
        first = int(indices[np.argmax(np.isnan(energy))])
        raise DataError(
            f"energy offsets of {method}: {int(np.isnan(energy).sum())} of {len(indices)} structures have no {method} "
            f"energy, the first is {structures.describe(first)}"
        )
    elements = structures.elements_of(indices)
    counts = structures.counts(indices, elements).astype(np.float64)
    solution, _, rank, _ = np.linalg.lstsq(counts, energy, rcond=None)
    if rank < len(elements) or not len(indices):
        names = ", ".join(SYMBOLS[z] for z in elements) or "no elements"
        formulae = sorted({structures.formulae[i] for i in np.unique(structures.formula[indices])})
        shown = ", ".join(formulae[:6]) + (", ..." if len(formulae) > 6 else "")
        raise DataError(
            f"energy offsets of {method}: the element counts of {len(indices)} structures ({len(formulae)} formulae: "
            f"{shown}) fix only {rank} of the {len(elements)} offsets ({names}). Use more formulae whose ratios of "
            "elements differ: a larger `a`, or another split seed"
        )
    return dict(zip(elements, solution.tolist(), strict=True))


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
