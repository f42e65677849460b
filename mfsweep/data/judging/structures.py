"""Structures of a source that is open, a few at a time, as the judgements take them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.flaws import Flaw, flaws
from mfsweep.data.judging.sample import LIMIT, StructureSample
from mfsweep.data.judging.slope import AT_ONCE
from mfsweep.data.structures import Structures

ATOMS_AT_ONCE = 500_000
"""Atoms that are looked at together."""

Indices = NDArray[np.int64]


def sample_of(structures: Structures, method: str, among: NDArray[np.bool_], limit: int = LIMIT) -> StructureSample:
    """Return a sample of a method's labels: runs of AT_ONCE structures spread evenly.

    Args:
        structures: the source.
        method: label method.
        among: (S,) structures whose labels may be looked at.
        limit: structures at most.
    """
    members = np.flatnonzero(among & np.isfinite(structures.labels[method].energy))
    runs = np.array_split(members, -(-len(members) // AT_ONCE)) if len(members) else []
    if len(runs) * AT_ONCE > limit:
        runs = [runs[place] for place in np.linspace(0, len(runs) - 1, max(1, limit // AT_ONCE)).astype(int)]
    sample = StructureSample()
    for run in runs:
        sample.add(chunk_of(structures, run, [method]))
    return sample


def flaws_of(structures: Structures, members: Indices, methods: Collection[str]) -> Iterator[tuple[Flaw, Indices]]:
    """Yield what is wrong with some structures, and with which of them: only what is wrong with any.

    Args:
        structures: the source.
        members: (n,) those to look at, ascending.
        methods: whose labels to look at too.
    """
    reached = np.cumsum(structures.sizes[members]) // ATOMS_AT_ONCE
    for some in np.split(members, np.flatnonzero(np.diff(reached)) + 1) if len(members) else []:
        for flaw in flaws(chunk_of(structures, some, methods)):
            if flaw.bad.any():
                yield flaw, some[flaw.bad]


def chunk_of(structures: Structures, members: Indices, methods: Collection[str]) -> Chunk:
    """Return some structures, with the labels of some methods.

    Args:
        structures: the source.
        members: (n,) which.
        methods: whose labels.
    """
    atoms = structures.atoms_of(members)
    labels = {method: structures.labels[method] for method in methods}
    return Chunk(
        sizes=structures.sizes[members],
        species=structures.species[atoms],
        positions=structures.positions[atoms],
        energies={method: own.energy[members] for method, own in labels.items()},
        forces={method: own.forces[atoms] for method, own in labels.items() if own.forces is not None},
        cell=None if structures.cell is None else structures.cell[members],
        pbc=None if structures.pbc is None else structures.pbc[members],
    )
